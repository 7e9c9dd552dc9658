# shellcheck shell=bash
# hosts/i-…/ctl: what an administrator does with a host.

setup() {
	start_daemon
	import_small_root
}

test_reclaimed() {
	local first
	submit <<<$'#!/bin/bash\nfor ((i = 1; ; i++)); do echo $i; sleep 0.05; done'
	wait_line "$dir/output" 3
	first=$(host)
	echo reclaim >"$MOUNT/hosts/$first/ctl"
	wait_moved "$first"
	assert_equal c5.large "$(info instance)" "its type"
	wait_event "Host $first is reclaimed"
	wait_for 20 test ! -e "$MOUNT/hosts/$first" || fail "host $first is there still"
	echo cancel >"$dir/ctl"
	wait_end
	diff <(seq "$(tail -n 1 "$dir/output")") "$dir/output" || fail "its output has a hole"
}

test_terminated() {
	local first
	submit --disableRerun <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	first=$(host)
	echo terminate >"$MOUNT/hosts/$first/ctl"
	wait_end
	assert_equal FailToComplete "$(<"$dir/status")" status
	wait_event "Host $first is terminated"
	wait_event "Job ended: FailToComplete, host $first is gone"
	no_host_is_left || fail "hosts are left"
}

starts_again() { # FAULT EVENT
	stop_daemon
	start_daemon "up=3s,fault=$1"
	submit <<<$'#!/bin/sh\necho up\nexit 3'
	wait_end 60
	assert_equal 3 "$code" "exit code"
	assert_equal up "$(<"$dir/output")" output
	wait_event "$2"
	forget_jobs
	no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	stop_daemon
	start_daemon
}

test_never_comes_up() {
	starts_again start.up:silent 'Another host is asked for: host .* did not come up in 3 s'
}

test_lost_before_it_is_up() {
	starts_again start.up:target 'Another host is asked for: host .* is gone before it was up'
}

test_lost_before_the_job_runs() {
	starts_again start.launch:target 'Job could not be started: .*; it is tried again'
}

test_no_longer_waited_for() {
	local first
	stop_daemon
	start_daemon fault=migrate.up:silent
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	first=$(host)
	echo c5.2xlarge >"$dir/migrate"
	wait_for 20 is_created || fail "there is no new host"
	echo abort >"$dir/ctl"
	wait_for 10 is_back || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts")"
	assert_equal "$first" "$(host)" "its host"
	wait_event 'Migration aborted; the job goes on'
	stop_daemon
	start_daemon
}

is_created() {
	(($(host_count) == 2))
}

is_back() {
	status_is Executing && (($(host_count) == 1))
}

host_count() {
	find "$MOUNT/hosts" -mindepth 1 -maxdepth 1 | wc -l
}

test_refused() {
	local ctl
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	ctl=$MOUNT/hosts/$(host)/ctl
	if { echo explode >"$ctl"; } 2>/dev/null; then fail "explode was taken"; fi
	assert_match '*reclaim or terminate*' "$(<"$MOUNT/error")" error
	if setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "echo terminate >'$ctl'" 2>/dev/null; then
		fail "a user terminates a host"
	fi
	status_is Executing || fail "it is $(<"$dir/status")"
}

limit_of() { # PID soft|hard: of open files
	local column=4
	[[ $2 == soft ]] || column=5
	awk -v column=$column '/^Max open files/ { print $column }' "/proc/$1/limits"
}

# Another test's daemon may be the one that raises it: once more then. 8191 is enough for all.
raises_limit() {
	local limit=/proc/sys/fs/inotify/max_user_instances
	stop_daemon
	echo 8191 >$limit
	start_daemon
	assert_equal 8192 "$(<$limit)" "$limit"
	grep -q 'fs/inotify/max_user_instances raised from 8191 to 8192' "$DAEMON_LOG"
}

# What all hosts share here: the kernel's limits, and floatfs's own.
test_limits_are_raised() {
	local tries=10 before init
	before=$(</proc/sys/fs/inotify/max_user_instances)
	# As a shell has it that floatfs is started from.
	ulimit -S -n 1024
	until raises_limit; do
		((--tries)) || fail "it says nothing of it"
	done
	[[ $before -le 8192 ]] || echo "$before" >/proc/sys/fs/inotify/max_user_instances
	assert_equal "$(limit_of "$(<"$DIR/daemon.pid")" hard)" "$(limit_of "$(<"$DIR/daemon.pid")" soft)" "the daemon's limit of open files"
	submit <<<$'#!/bin/sh\nulimit -n\nsleep 1000'
	wait_line "$dir/output" 1024
	init=$(hosts_processes)
	assert_equal 1024 "$(limit_of "${init%%$'\n'*}" soft)" "the limit of open files of a host's first process"
}
