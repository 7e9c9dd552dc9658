# shellcheck shell=bash
# What can go wrong before each step of each operation goes wrong (floatfs --faults lists it), and the job lives through it: its
# output has no hole and nothing twice, it runs once, and nothing is left over. A test each, made of that list for tests/torture/run.
timeout=240

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

submit_counter() {
	submit --dataVolume '[size=1]:/data' <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		n=0
		while :; do
			((n += 1))
			echo "$n" >/data/n
			echo "$n $(</data/n)"
			sleep 0.02
		done
	END
}

# Starts floatfs again when a fault has killed it, as a service manager does; the fault is over then.
nurse() {
	until [[ -e $DIR/over ]]; do
		! daemon_is_gone || start_daemon lost=20s,files_idle=1
		sleep 0.1
	done
}

is_over() { # nothing is under way, and what is left of hosts is right
	local now hosts
	now=$(<"$dir/status") hosts=$(ls "$MOUNT/hosts")
	case $now in
	Executing) [[ -n $hosts && $hosts == "$(host)" ]] ;;
	# Where neither host could take it, it stays as an image, until it is resumed with the host that it was on.
	Suspended) [[ -z $hosts || $hosts == "$(host)" ]] ;;
	Completed | Cancelled | FailTo*) [[ -z $hosts ]] ;;
	*) false ;;
	esac && [[ $now == "$(<"$dir/status")" ]]
}

wait_over() {
	wait_for 120 is_over || fail "stuck: it is $(<"$dir/status"), on $(host), hosts $(ls "$MOUNT/hosts"): $(tail -n 8 "$dir/job.events")"
}

lines() {
	wc -l <"$dir/output"
}

grew_past() { # LINES
	(($(lines) > $1))
}

grows() {
	wait_for 60 grew_past $(($(lines) + 5)) || fail "stuck: the output stands still after $(tail -n 1 "$dir/output")"
}

is_whole() {
	local n i
	n=$(lines)
	head -n "$n" "$dir/output" | cmp - <(for ((i = 1; i <= n; i++)); do echo "$i $i"; done) || fail "lost or doubled: the output is not whole"
}

order() { # TEXT FILE: a fault may have it refused
	{ echo "$1" >"$dir/$2"; } 2>/dev/null || true
}

take_snapshot() {
	order checkpoint ctl
	wait_for 60 test -d "$dir/snapshots/1" || fail "stuck: no snapshot: $(tail -n 3 "$dir/job.events")"
	wait_over
}

lose_host() {
	kill -KILL "$(init_of "$(host)")"
	wait_for 30 has_noticed || fail "stuck: nobody saw that the host is gone"
}

has_noticed() {
	grep -q 'Host .* is gone' "$dir/job.events"
}

operate() { # OPERATION: what it takes to have it begun
	case $1 in
	start) ;;
	migrate | undo) order c5.2xlarge migrate ;;
	suspend) order suspend ctl ;;
	resume) order suspend ctl && wait_over && order resume ctl ;;
	checkpoint) order checkpoint ctl ;;
	recover | rerun) lose_host ;;
	cancel) order cancel ctl ;;
	end) end_job ;;
	files)
		end_job
		timeout 60 ls "$dir/files" >/dev/null 2>&1 || true
		;;
	*) fail "nobody knows how $1 is begun" ;;
	esac
}

end_job() {
	order 'signal TERM' ctl
	wait_for 60 has_ended || fail "stuck: it does not end: $(<"$dir/status")"
}

# Ended by itself, or by us: its output is all there.
check_end() { # OPERATION
	local count
	is_whole
	if [[ -e $dir/log/count ]]; then
		count=$(<"$dir/log/count")
		((count - $(lines) <= 1)) || fail "lost: it has written $count lines, not $(lines)"
	fi
	assert_equal start "$(<"$dir/log/starts")" starts
}

bring_to_its_end() { # OPERATION
	case $(<"$dir/status") in
	Suspended)
		order resume ctl
		wait_over
		;;&
	Suspended | Executing)
		grows
		is_whole
		end_job
		assert_equal 5 "$(<"$dir/exit_code")" "exit code"
		check_end "$1"
		;;
	FailToExecute) [[ $1 == start ]] || fail "it is $(<"$dir/status")" ;;
	FailToComplete | Cancelled)
		[[ $1 == @(cancel|end|files|rerun) ]] || fail "lost: it is $(<"$dir/status"): $(tail -n 5 "$dir/job.events")"
		[[ $1 == rerun ]] || check_end "$1"
		;;
	*) fail "it is $(<"$dir/status")" ;;
	esac
}

has_ended() {
	[[ -n $(<"$dir/exit_code") ]] && is_over
}

cell() { # STEP:KIND
	local operation=${1%%.*} fault=$1 nurse
	expect_log .
	[[ $operation != undo ]] || fault=migrate.restore:error+$1
	rm -f "$DIR/over"
	start_daemon "lost=20s,files_idle=1,fault=$fault"
	nurse &
	nurse=$!
	submit_counter
	wait_over
	if status_is Executing; then
		wait_line "$dir/output" "5 5"
		[[ $operation == @(start|checkpoint|rerun) ]] || take_snapshot
		operate "$operation"
		wait_over
	fi
	bring_to_its_end "$operation"
	wait_for 60 rmdir "$dir" || fail "stuck: it cannot be forgotten"
	wait_for 60 no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	touch "$DIR/over"
	wait $nurse
	assert_volumes 0
	stop_daemon
}

while read -r fault; do
	eval "test_${fault//[.:]/__}() { cell $fault; }"
done < <("$B/floatfs" --faults)
