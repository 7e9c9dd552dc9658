# shellcheck shell=bash
# What can go wrong before each step of each operation goes wrong (tests/torture/list lists it), and the job lives through it: its
# output has no hole and nothing twice, it runs once, and nothing is left over. A test each, made of that list for tests/torture/run.
# shellcheck source=tests/torture/counter.sh
. "$top/tests/torture/counter.sh"

timeout=240

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

# Starts floatfs again when a fault has killed it, as a service manager does; the fault is over then.
nurse() {
	until [[ -e $DIR/over ]]; do
		if daemon_is_gone; then
			touch "$DIR/killed"
			start_daemon "$options"
		fi
		sleep 0.1
	done
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
	idle)
		order c5.2xlarge migrate
		wait_over
		end_job
		;;
	files)
		end_job
		timeout 60 ls "$dir/files" >/dev/null 2>&1 || true
		;;
	*) fail "nobody knows how $1 is begun" ;;
	esac
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
		check_end
		;;
	FailToExecute) [[ $fault == start.*:error ]] || fail "it is $(<"$dir/status")" ;;
	FailToComplete | Cancelled)
		[[ $1 == @(cancel|end|files|rerun|idle) ]] || fail "lost: it is $(<"$dir/status"): $(tail -n 5 "$dir/job.events")"
		[[ $1 == rerun ]] || check_end
		;;
	*) fail "it is $(<"$dir/status")" ;;
	esac
}

options=lost=20s,up=10s,files_idle=1

cell() { # STEP:KIND
	local operation=${1%%.*} fault=$1 nurse
	expect_log .
	if [[ $operation == undo ]]; then
		fault=${1/#undo.unsaved/migrate.unsaved}
		fault=migrate.restore:error+${fault/#undo.saved/migrate.saved}
	fi
	rm -f "$DIR/over" "$DIR/killed"
	# A job is made between operations too: it is to be there by then.
	if [[ $operation == idle ]]; then
		start_daemon "$options"
		submit_counter
		wait_over
		stop_daemon
	fi
	start_daemon "$options,fault=$fault"
	nurse &
	nurse=$!
	[[ $operation == idle ]] || submit_counter
	wait_over
	if status_is Executing; then
		wait_line "$dir/output" "5 5"
		[[ $operation == @(start|checkpoint|rerun|idle) ]] || take_snapshot
		# The host that it is started again on may be the one that is lost.
		[[ $operation != rerun ]] || echo 'rerun 2' >>"$dir/policy"
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

# Until it is written no more.
saves() { # OPERATION
	local when n
	for when in unsaved saved; do
		for ((n = 1; ; n++)); do
			echo "$when $n"
			cell "$1.$when$n:kill"
			[[ -e $DIR/killed ]] || break
		done
		((n > 2)) || fail "only $((n - 1)) writes of the record were seen"
	done
}

while IFS=.: read -r operation step kind; do
	case $step in
	saves)
		eval "test_${operation}__saves__kill() { saves $operation; }"
		timeouts[test_${operation}__saves__kill]=1800
		;;
	*) eval "test_${operation}__${step}__$kind() { cell $operation.$step:$kind; }" ;;
	esac
done < <(SAMPLE='' "$top/tests/torture/list")
