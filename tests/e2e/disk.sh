# shellcheck shell=bash
# No room: on floatfs's own disk, or on the job's volumes. The job goes on, and all of it is there in the end.

begin() {
	mkdir -p "$STATE/jobs"
	mount -t tmpfs -o size=8m disk "$STATE/jobs"
	start_daemon
	[[ -d $MOUNT/images/small ]] || import_small_root
}

# The file system below the daemon goes with each test.
give_back() {
	forget_jobs
	stop_daemon
	umount "$STATE/jobs"
}

fills() { # nothing more fits
	(($(stat -f -c %a "$STATE/jobs") == 0))
}

submit_counter() {
	submit <<<$'#!/bin/bash\nfor ((i = 1; ; i++)); do echo $i; sleep 0.02; done'
	wait_line "$dir/output" 5
}

is_whole() { # without a hole
	echo cancel >"$dir/ctl"
	wait_end 60
	cmp "$dir/output" <(seq "$(tail -n 1 "$dir/output")") || fail "its output has a hole"
}

test_a_move_waits_for_room() {
	local from
	begin
	expect_log 'job .* waits: cannot write the record .*No space left on device'
	expect_log 'its logs wait on its volume: .*No space left on device'
	submit_counter
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	cat /dev/zero >"$STATE/jobs/filler" 2>/dev/null || true
	wait_for 20 grep -q 'waits: cannot write the record' "$DAEMON_LOG" || fail "nothing waits: $(tail -n 3 "$dir/job.events")"
	sleep 1
	status_is Floating || fail "it is $(<"$dir/status")"
	rm "$STATE/jobs/filler"
	wait_moved "$from"
	is_whole
	give_back
}

test_a_lost_host_waits_for_room() {
	local from
	begin
	expect_log 'cannot write the record .*No space left on device'
	expect_log 'its logs wait on its volume: .*No space left on device'
	expect_log 'did not answer|cannot be detached'
	submit_counter
	from=$(host)
	cat /dev/zero >"$STATE/jobs/filler" 2>/dev/null || true
	kill -KILL "$(init_of "$from")"
	wait_for 20 grep -q 'cannot write the record' "$DAEMON_LOG" || fail "nothing is tried: $(<"$dir/status")"
	rm "$STATE/jobs/filler"
	wait_for 60 is_on_another "$from" || fail "it is $(<"$dir/status") on $(host): $(tail -n 8 "$dir/job.events")"
	is_whole
	give_back
}

test_moves_with_full_volumes() {
	local from
	begin
	submit --dataVolume '[size=1]:/data' <<-END
		#!/bin/bash
		$fill_disk
		trap 'rm /data/* /tmp/*; echo free again; exit 3' USR1
		fill /data
		fill /tmp
		echo c5.2xlarge >/float/jobs/\$FLOAT_JOB_ID/migrate
		while :; do sleep 0.1; done
	END
	wait_event 'Migrated to new VM' 60
	from=$(host)
	wait_status Executing
	echo suspend >"$dir/ctl"
	wait_status Suspended 60
	echo resume >"$dir/ctl"
	wait_status Executing 60
	[[ $(host) != "$from" ]] || fail "it is where it was"
	echo checkpoint >"$dir/ctl"
	wait_event 'Snapshot 1 taken\|Snapshot failed' 60
	grep 'Snapshot' "$dir/job.events"
	wait_status Executing
	echo 'signal USR1' >"$dir/ctl"
	wait_end
	assert_equal 3 "$code" "exit code"
	assert_equal 'free again' "$(<"$dir/output")" output
	give_back
}

test_logs_wait_for_room() {
	begin
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
