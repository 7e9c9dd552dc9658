# shellcheck shell=bash disable=SC2154 # $top and $dir are of lib.sh
# The job that goes through it all: it counts, and can tell at its end how far it came.
# No $(): bash 5.2 ends with a syntax error when a signal that it traps comes while it parses one.

submit_counter() {
	submit --dataVolume '[size=1]:/data' <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		n=0
		while :; do
			((n += 1))
			echo "$n" >/data/n
			read -r m </data/n
			echo "$n $m"
			sleep 0.02
		done
	END
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

end_job() {
	order 'signal TERM' ctl
	wait_for 60 has_ended || fail "stuck: it does not end: $(<"$dir/status")"
}

has_ended() {
	[[ -n $(<"$dir/exit_code") ]] && is_over
}

# Ended by itself, or by us: its output is all there.
check_end() {
	local count
	is_whole
	if [[ -e $dir/log/count ]]; then
		count=$(<"$dir/log/count")
		((count - $(lines) <= 1)) || fail "lost: it has written $count lines, not $(lines)"
	fi
	assert_equal start "$(<"$dir/log/starts")" starts
}
