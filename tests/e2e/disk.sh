# shellcheck shell=bash
# No room on floatfs's own disk: the logs wait on the job's volume, the job goes on, and all of it is there in the end.

setup() {
	mkdir -p "$STATE/jobs"
	mount -t tmpfs -o size=8m disk "$STATE/jobs"
	start_daemon
	import_small_root
}

# The file system below the daemon goes with this file's last test.
give_back() {
	forget_jobs
	stop_daemon
	umount "$STATE/jobs"
}

fills() { # nothing more fits
	(($(stat -f -c %a "$STATE/jobs") == 0))
}

test_logs_wait_for_room() {
	expect_log 'its logs wait on its volume: .*No space left on device'
	expect_log 'cannot write the record .*No space left on device'
	submit <<<$'#!/bin/bash\nfor ((i = 1; i <= 1000000; i++)); do echo "line $i of many"; done >"$1/output"\ndate +%s >"$1/ended"\nexit 3'
	wait_for 30 fills || fail "the disk is not full: $(stat -f -c %a "$STATE/jobs") blocks left"
	wait_for 20 grep -q 'logs wait on its volume' "$DAEMON_LOG" || fail "the administrator is not told"
	grep -q 'the logs wait on' "$dir/error" || fail "the user is not told: '$(<"$dir/error")'"
	sleep 1
	assert_equal 1 "$(grep -c 'logs wait on its volume' "$DAEMON_LOG")" "how often it was said"
	head -n 100 "$dir/output" | cmp - <(seq 100 | sed 's/.*/line & of many/') || fail "what is there is not right"
	mount -o remount,size=200m "$STATE/jobs"
	wait_end 60
	assert_equal 3 "$code" "exit code"
	cmp "$dir/output" <(seq 1000000 | sed 's/.*/line & of many/') || fail "output is not what the job wrote"
	wait_event "The logs wait on the job's volume: .*No space left"
	wait_event 'The logs are fetched again'
	give_back
}
