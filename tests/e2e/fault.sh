# shellcheck shell=bash
# Migrations in which a step fails: the job goes on where it was, and says why.

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

submit_counter() {
	submit <<<$'#!/bin/bash\nn=0; while :; do echo $((n += 1)); sleep 0.02; done'
	wait_line "$dir/output" 5
}

is_settled() {
	status_is Executing && [[ $(ls "$MOUNT/hosts") == "$1" ]]
}

goes_on() { # the output grows, without a hole
	local count
	count=$(wc -l <"$dir/output")
	wait_for 10 test "$(wc -l <"$dir/output")" -ge "$count"
	sleep 0.5
	(($(wc -l <"$dir/output") > count)) || fail "the job does not go on"
	head -n "$count" "$dir/output" | cmp - <(seq "$count") || fail "there is a hole in the output"
}

step_fails() { # STEP EVENT-PATTERN
	local from events
	start_daemon "fault=migrate.$1:error"
	submit_counter
	from=$(host)
	events=$(wc -l <"$dir/job.events")
	echo c5.2xlarge >"$dir/migrate"
	wait_for 60 is_settled "$from" || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts"), not on $from alone"
	assert_equal c5.large "$(info instance)" instance
	tail -n "+$((events + 1))" "$dir/job.events" >"$DIR/new-events"
	cat "$DIR/new-events"
	grep -qi "$2" "$DIR/new-events" || fail "job.events does not say why"
	goes_on
	# The switch worked once: now it can be moved.
	migrate c5.2xlarge
	assert_equal c5.2xlarge "$(info instance)" instance
	goes_on
	forget_jobs
	stop_daemon
}

test_host_does_not_come_up() {
	step_fails host 'fail\|fault\|error'
}

test_prepare_fails() {
	step_fails prepare 'fail\|fault\|error'
}

test_dump_fails() {
	step_fails dump 'fail\|fault\|error'
}

test_restore_fails() {
	step_fails restore 'fail\|fault\|error'
}

test_release_fails() {
	step_fails release 'fail\|fault\|error'
}

# Somebody on the host, who is no part of the job, has a file of it open.
hold_a_volume() {
	local init root
	init=$(init_of "$(host)")
	root=$(awk '$3 == "btrfs" { print $2; exit }' "/proc/$init/mounts")
	nsenter -t "$init" -m -p sh -c "cd '$root' && exec sleep 1000" &
	holder=$!
	wait_for 10 holds || fail "nobody holds $root"
}

holds() {
	[[ $(readlink "/proc/$(pgrep -P "$holder")/exe") == */sleep ]]
}

test_a_volume_in_use() {
	local from holder
	start_daemon
	submit_counter
	from=$(host)
	hold_a_volume
	echo c5.2xlarge >"$dir/migrate"
	wait_for 60 is_settled "$from" || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts"), not on $from alone"
	wait_event 'Migration to instance type .* failed: cannot unmount .*: it is in use by .*sleep.*; the job goes on'
	goes_on
	kill -KILL "$(pgrep -P "$holder")"
	wait "$holder" || true
	migrate c5.2xlarge
	goes_on
	forget_jobs
	stop_daemon
}
