# shellcheck shell=bash
# floatfs stopped and started again, with jobs that run on; and the ways to mount it.

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

submit_counter() {
	submit <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 0' TERM
		n=0
		while :; do
			echo "$((n += 1))"
			sleep 0.01
		done
	END
	wait_line "$dir/output" 5
}

ends_without_a_hole() {
	local n
	echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
	n=$(<"$dir/log/count")
	head -n "$n" "$dir/output" | cmp - <(seq "$n") || fail "there is a hole in the output"
	echo "$n lines"
}

grew_past() { # LINES
	(($(wc -l <"$dir/output") > $1))
}

restarted_with_a_job() { # HOW-TO-STOP...
	local before at
	start_daemon
	submit_counter
	before=$(host)
	at=$(wc -l <"$dir/output")
	"$@"
	sleep 1
	start_daemon
	status_is Executing || wait_status Executing 10
	assert_equal "$before" "$(host)" "host after the restart"
	wait_for 10 grew_past $((at + 50)) || fail "the job did not go on while floatfs was away"
	migrate c5.2xlarge
	ends_without_a_hole
	forget_jobs
	stop_daemon
}

by_signal() { # SIGNAL
	kill "-$1" "$(<"$DIR/daemon.pid")"
	wait_for 20 daemon_is_gone || fail "floatfs did not end on $1"
	if [[ $1 != KILL ]] && is_mounted; then fail "it is still mounted"; fi
}

test_by_umount() {
	restarted_with_a_job stop_daemon
}

test_by_sigterm() {
	restarted_with_a_job by_signal TERM
}

test_stale_mount() {
	restarted_with_a_job by_signal KILL
}

test_while_migrating() {
	local from
	start_daemon
	submit_counter
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	stop_daemon
	start_daemon
	wait_for 60 has_settled || fail "it is $(<"$dir/status")"
	migrate c5.xlarge
	ends_without_a_hole
	forget_jobs
	stop_daemon
}

has_settled() {
	[[ $(<"$dir/status") == Executing ]]
}

test_ended_meanwhile() {
	start_daemon
	submit <<<$'#!/bin/sh\necho up\nsleep 2\necho done\nexit 5'
	wait_line "$dir/output" up
	stop_daemon
	sleep 2.5
	start_daemon
	wait_end 20
	assert_equal 5 "$code" "exit code"
	assert_equal $'up\ndone' "$(<"$dir/output")" output
	stop_daemon
	start_daemon
	assert_equal 5 "$(<"$dir/exit_code")" "exit code after another restart"
	assert_equal $'up\ndone' "$(<"$dir/output")" "output after another restart"
	forget_jobs
	stop_daemon
}

# A name that is too long to be shown must not keep the rest of the logs, nor the end, from coming.
test_logs_with_a_name_too_long() {
	local n
	start_daemon
	submit <<-'END'
		#!/bin/bash
		trap stop=1 TERM
		deep=$1/$(printf 'a%.0s' {1..250})/$(printf 'b%.0s' {1..250})/$(printf 'c%.0s' {1..250})
		mkdir -p "$deep"
		n=0
		while [[ -z $stop ]]; do
			echo "$((n += 1))"
			echo "$n" >>"$deep/file"
			sleep 0.01
		done
		echo "$n" >"$1/count"
	END
	wait_line "$dir/output" 5
	stop_daemon
	start_daemon
	n=$(wc -l <"$dir/output")
	wait_for 10 grew_past $((n + 50)) || fail "the output stands still"
	ends_without_a_hole
	forget_jobs
	stop_daemon
}

daemon_by_name() { # notes the pid of the daemon that serves the mount, which is no child of this shell
	daemons_processes | grep -vxF "$(holders)" | head -n 1 >"$DIR/daemon.pid"
	[[ -s $DIR/daemon.pid ]] || fail "no daemon is there"
}

test_in_the_background() {
	"$B/floatfs" -o "$(daemon_options)" "$MOUNT"
	is_served || fail "floatfs came back before it was mounted"
	daemon_by_name
	assert_equal small "$(ls "$MOUNT/images")" images
	stop_daemon
}

test_by_mount() {
	# What `mount -t fuse.floatfs -o ... floatfs MOUNTPOINT` runs. mount itself looks for floatfs in the system's PATH only.
	PATH=$B:$PATH mount.fuse3 floatfs "$MOUNT" -o "rw,$(daemon_options)" -t fuse.floatfs
	is_served || fail "it is not mounted"
	daemon_by_name
	assert_equal small "$(ls "$MOUNT/images")" images
	grep -q " $MOUNT fuse.floatfs " /proc/self/mounts || fail "it has another type: $(grep " $MOUNT " /proc/self/mounts)"
	stop_daemon
}

test_bad_options() {
	local said
	for options in cloud=nowhere,state="$STATE" cloud=local,state="$STATE",nonsense=1 cloud=local,state=/proc/nothing; do
		if said=$("$B/floatfs" -f -o "$options" "$MOUNT" 2>&1); then fail "-o $options was accepted"; fi
		[[ $said == *' '*' '* ]] || fail "-o $options: no reason was given: $said"
	done
	if said=$("$B/floatfs" -f -o "$(daemon_options)" "$DIR/no-such-directory" 2>&1); then fail "it mounted nowhere"; fi
	[[ $said == *no-such-directory* ]] || fail "no reason was given: $said"
}

test_one_daemon_a_state() {
	local said
	start_daemon
	mkdir -p "$DIR/second"
	if said=$("$B/floatfs" -f -o "$(daemon_options)" "$DIR/second" 2>&1); then fail "a second daemon uses the same state"; fi
	[[ $said == *' '*' '* ]] || fail "no reason was given: $said"
	stop_daemon
}
