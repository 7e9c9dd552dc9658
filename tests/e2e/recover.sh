# shellcheck shell=bash
# Hosts that are lost: the job goes on from its last snapshot on a new one, or is started again, and says so.
timeout=240

setup() {
	start_daemon lost=5s
	import_small_root
}

# Each line of its output is on its data volume, too: they are of one instant.
submit_counter() {
	submit --dataVolume '[size=1]:/data' <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		[[ ! -e /data/n ]] || echo "what was there"
		n=0
		while :; do
			((n += 1))
			echo "$n" >/data/n
			read -r m </data/n
			echo "$n $m"
			sleep 0.01
		done
	END
	wait_line "$dir/output" "5 5"
}

checkpoint() { # NUMBER that it gets
	echo checkpoint >"$dir/ctl"
	wait_for 60 test -d "$dir/snapshots/$1" || fail "no snapshot $1: $(<"$dir/status"), $(tail -n 3 "$dir/job.events")"
	wait_status Executing 60
}

lines() {
	wc -l <"$dir/output"
}

grew_past() { # LINES
	(($(lines) > $1))
}

grows_by() { # LINES
	wait_for 20 grew_past $(($(lines) + $1)) || fail "the output stands still after $(tail -n 1 "$dir/output")"
}

numbered() { # LAST
	local i
	for ((i = 1; i <= $1; i++)); do echo "$i $i"; done
}

output_is_whole() {
	local n
	n=$(lines)
	head -n "$n" "$dir/output" | cmp - <(numbered "$n") || fail "there is a hole in the output"
}

ends_without_a_hole() {
	echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 5 "$code" "exit code"
	output_is_whole
	(($(<"$dir/log/count") - $(lines) <= 1)) || fail "it has written $(<"$dir/log/count") lines, not $(lines)"
	assert_equal start "$(<"$dir/log/starts")" starts
	rmdir "$dir"
	no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	assert_volumes 0
}

kill_host() { # all its processes at once, without a word
	kill -KILL "$(init_of "$(host)")"
}

wait_recovered() { # FROM
	wait_for 60 is_on_another "$1" || fail "it is $(<"$dir/status") on $(host): $(tail -n 8 "$dir/job.events")"
	assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
}

test_from_its_last_snapshot() {
	local before cut from
	submit_counter
	checkpoint 1
	grows_by 30
	checkpoint 2
	grows_by 30
	from=$(host)
	expect_log 'did not answer|cannot be detached'
	kill_host
	wait_recovered "$from"
	before=$(wc -l < <(cat "$dir/log/output.lost-1"))
	wait_event "Host $from is gone"
	wait_event 'Ready to recover with instance type: c5.large'
	wait_event "Recovered on new VM: $(host), as it was at snapshot 2"
	cut=$(sed -n 's/.*The log file output is cut back to byte \([0-9]*\):.*/\1/p' "$dir/job.events")
	[[ -n $cut ]] || fail "no event says where the output was cut: $(tail -n 5 "$dir/job.events")"
	cut=$(head -c "$cut" "$dir/output" | wc -l)
	echo "cut back to line $cut, $before lines kept"
	cmp <(numbered $((cut + before))) <(head -n "$cut" "$dir/output"; cat "$dir/log/output.lost-1") ||
		fail "what was cut off is not what there was"
	grows_by 20
	output_is_whole
	# And again, from the same one.
	from=$(host)
	kill_host
	wait_recovered "$from"
	grows_by 20
	ends_without_a_hole
}

test_started_again_without_one() {
	local from
	submit_counter
	grows_by 20
	from=$(host)
	expect_log 'did not answer|cannot be detached'
	kill_host
	wait_recovered "$from"
	wait_event 'Ready to start the job again, from its beginning'
	[[ -s $dir/log/output.lost-1 ]] || fail "its first output is not kept: $(ls "$dir/log")"
	grows_by 20
	output_is_whole
	assert_equal start "$(<"$dir/log/starts")" starts
	# Once: that is the default.
	kill_host
	wait_end
	assert_equal FailToComplete "$(<"$dir/status")" status
	wait_event 'Job ended: FailToComplete, host .* is gone'
	no_host_is_left || fail "hosts are left"
	rmdir "$dir"
	assert_volumes 0
}

test_not_started_again_where_policy_forbids() {
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	echo 'rerun 0' >"$dir/policy"
	expect_log 'did not answer|cannot be detached'
	kill_host
	wait_end
	assert_equal FailToComplete "$(<"$dir/status")" status
	no_host_is_left || fail "hosts are left"
}

# What does not answer is given up after a time, and ended before the job runs elsewhere.
test_a_silent_host() {
	local from pids
	submit_counter
	checkpoint 1
	grows_by 10
	from=$(host)
	expect_log 'did not answer|cannot be detached|timed out'
	pids=$(below "$(init_of "$from")")
	tell "$pids" STOP
	wait_recovered "$from"
	wait_event "Host $from has not answered for"
	[[ -z $(alive "$pids") ]] || fail "processes of the old host are there still: $(alive "$pids")"
	grows_by 20
	ends_without_a_hole
}

test_a_host_that_was_silent_for_a_while() {
	local from pids
	submit_counter
	from=$(host)
	pids=$(below "$(init_of "$from")")
	tell "$pids" STOP
	sleep 3
	tell "$pids" CONT
	grows_by 50
	assert_equal "$from" "$(host)" host
	ends_without_a_hole
}

tell() { # PIDS SIGNAL: some may have ended
	local pid
	for pid in $1; do
		kill "-$2" "$pid" 2>/dev/null || true
	done
}

alive() { # PIDS
	local pid
	for pid in $1; do
		[[ ! -d /proc/$pid ]] || grep -q '^State:.*Z' "/proc/$pid/status" || echo "$pid"
	done
}

test_cancelled_meanwhile() {
	submit_counter
	checkpoint 1
	expect_log 'did not answer|cannot be detached'
	kill_host
	wait_status Resuming 30
	echo cancel >"$dir/ctl"
	wait_end
	assert_equal Cancelled "$(<"$dir/status")" status
	no_host_is_left || fail "hosts are left"
	rmdir "$dir"
	assert_volumes 0
}

# Each time that it is tried: what it has is kept, and whoever finds out why resumes it.
test_that_fails() {
	local from last
	stop_daemon
	start_daemon fault=recover.plan:error+recover.host:error+recover.prepare:error+recover.grant:error+recover.restore:error
	submit_counter
	checkpoint 1
	grows_by 10
	from=$(host)
	expect_log 'did not answer|cannot be detached'
	kill_host
	wait_end 120
	assert_equal FailToComplete "$(<"$dir/status")" status
	assert_equal 5 "$(grep -c 'Recovery failed' "$dir/job.events")" "times that it failed"
	wait_event 'Its last snapshot is 1: resume it to go on from there'
	no_host_is_left || fail "hosts are left"
	echo 'resume 1' >"$dir/ctl"
	wait_recovered "$from"
	grows_by 20
	ends_without_a_hole
	stop_daemon
	start_daemon lost=5s
}

# The new host is lost when the job runs there, and nobody knows that yet: the volumes are not of the image's instant any more.
test_a_new_host_that_is_lost_at_once() {
	local from
	stop_daemon
	start_daemon lost=5s,fault=migrate.settle:host
	submit_counter
	checkpoint 1
	grows_by 10
	from=$(host)
	expect_log 'did not answer|cannot be detached|gone on from its process image|cannot be taken up'
	echo c5.2xlarge >"$dir/migrate"
	wait_recovered "$from"
	wait_event "Host $from cannot take the job up where it was: it had gone on elsewhere, and was lost"
	wait_event 'as it was at snapshot 1'
	grows_by 20
	ends_without_a_hole
	stop_daemon
	start_daemon lost=5s
}

# The same at a resume: it is known when somebody resumes it again.
test_a_resumed_job_that_is_lost_at_once() {
	stop_daemon
	start_daemon lost=5s,fault=resume.settle:host
	submit_counter
	checkpoint 1
	grows_by 10
	expect_log 'did not answer|cannot be detached|gone on from its process image'
	echo suspend >"$dir/ctl"
	wait_status Suspended
	echo resume >"$dir/ctl"
	wait_event 'Resume on instance type c5.large failed' 60
	wait_status Suspended 60
	echo resume >"$dir/ctl"
	wait_recovered none
	wait_event 'cannot take the job up where it was suspended'
	wait_event 'as it was at snapshot 1'
	grows_by 20
	ends_without_a_hole
	stop_daemon
	start_daemon lost=5s
}

# One that is taken back to a snapshot, and whose new host is lost before that is known, is where it was: suspended as of then.
test_a_job_taken_back_that_is_lost_at_once() {
	local suspended
	stop_daemon
	start_daemon lost=5s,fault=resume.settle:host
	submit_counter
	checkpoint 1
	grows_by 10
	expect_log 'did not answer|cannot be detached'
	echo suspend >"$dir/ctl"
	wait_status Suspended
	suspended=$(lines)
	echo "resume 1" >"$dir/ctl"
	wait_event 'Resume on instance type c5.large failed' 60
	wait_status Suspended 60
	echo resume >"$dir/ctl"
	wait_status Executing 60
	grows_by 20
	output_is_whole
	((suspended > 15)) || fail "it was suspended at line $suspended"
	! grep -q 'cut back to byte' "$dir/job.events" || fail "it was taken back all the same"
	ends_without_a_hole
	stop_daemon
	start_daemon lost=5s
}

# What keeps a job on its host is killed: nobody would know how it ends.
test_its_keeper_is_killed() {
	local from
	submit_counter
	checkpoint 1
	grows_by 10
	from=$(host)
	expect_log 'its keeper has gone'
	kill -KILL "$(keeper_of "$from")"
	wait_recovered "$from"
	wait_event "Host $from has lost the job"
	grows_by 20
	ends_without_a_hole
}

keeper_of() { # HOST
	local pid
	for pid in $(below "$(init_of "$1")"); do
		[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != *'float-agent keeper'* ]] || { echo "$pid" && return; }
	done
}

# floatfs is killed, again and again, while it recovers a job.
test_while_floatfs_is_killed() {
	local ms from
	submit_counter
	checkpoint 1
	expect_log 'did not answer|cannot be detached'
	for ms in 50 150 250 350 500; do
		from=$(host)
		kill_host
		wait_status Resuming 30
		sleep "0.$(printf '%03d' $ms)"
		kill_daemon
		start_daemon lost=5s
		wait_recovered "$from"
		assert_volumes 3
	done
	grows_by 20
	ends_without_a_hole
}

# A machine that reboots: no host is there when floatfs is started.
test_all_hosts_are_gone() {
	local from
	submit_counter
	checkpoint 1
	grows_by 10
	from=$(host)
	kill_daemon
	kill -KILL "$(init_of "$from")"
	expect_log 'did not answer|cannot be detached'
	start_daemon
	wait_recovered "$from"
	grows_by 20
	ends_without_a_hole
}
