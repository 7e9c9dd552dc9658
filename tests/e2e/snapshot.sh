# shellcheck shell=bash
# checkpoint and resume SNAP: what a running job was at one instant is kept, and the job goes on from there, whatever
# became of it since.
timeout=240

setup() {
	start_daemon
	import_small_root
}

# Each line of its output is on its data volume and in its root, too: they are of one instant.
submit_counter() {
	submit --dataVolume '[size=1]:/data' <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		n=0
		while :; do
			((n += 1))
			echo "$n" >/data/n
			echo "$n" >/root-n
			read -r data </data/n
			read -r root </root-n
			echo "$n $data $root"
			sleep 0.01
		done
	END
	wait_line "$dir/output" "5 5 5"
}

checkpoint() { # NUMBER that it gets
	echo checkpoint >"$dir/ctl"
	wait_for 60 has_snapshot "$1" || fail "no snapshot $1: $(<"$dir/status"), $(tail -n 3 "$dir/job.events")"
	wait_status Executing 60
}

snapshots() { # their numbers, on one line
	(cd "$dir/snapshots" && shopt -s nullglob && echo *)
}

has_snapshot() { # NUMBER
	[[ -d $dir/snapshots/$1 ]]
}

suspend() {
	echo suspend >"$dir/ctl"
	wait_status Suspended 60
}

go_back() { # NUMBER
	echo "resume $1" >"$dir/ctl"
	wait_status Executing 60
	assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
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

output_is_whole() {
	local n
	n=$(lines)
	head -n "$n" "$dir/output" | cmp - <(for ((i = 1; i <= n; i++)); do echo "$i $i $i"; done) || fail "there is a hole in the output"
}

ends_without_a_hole() {
	echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 5 "$code" "exit code"
	output_is_whole
	# The signal may have come before the line was written.
	(($(<"$dir/log/count") - $(lines) <= 1)) || fail "it has written $(<"$dir/log/count") lines, not $(lines)"
	assert_equal start "$(<"$dir/log/starts")" starts
	rmdir "$dir"
	no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	assert_volumes 0
}

test_taken_while_it_runs() {
	local host
	submit_counter
	host=$(host)
	assert_equal "" "$(snapshots)" "snapshots of a job that has none"
	checkpoint 1
	assert_volumes 3
	grows_by 10
	checkpoint 2
	assert_equal "1 2" "$(snapshots)" snapshots
	checkpoint 3
	wait_event 'Snapshot 1 was deleted: 2 are kept'
	assert_equal "2 3" "$(snapshots)" snapshots
	assert_volumes 4
	assert_equal "$host" "$(host)" host
	assert_equal "$host c5.large" "$(<"$dir/snapshots/3/host")" "the snapshot's host"
	(($(<"$dir/snapshots/3/size") > 100000)) || fail "its image has $(<"$dir/snapshots/3/size") bytes"
	assert_match '20*T*:*.*Z' "$(<"$dir/snapshots/3/time")" "its time"
	grep -q 'Snapshot 3 taken, frozen for' "$dir/job.events" || fail "no event: $(tail -n 3 "$dir/job.events")"
	echo 'snapshots 1' >"$dir/policy"
	checkpoint 4
	wait_event 'Snapshot 3 was deleted: 1 are kept'
	assert_equal 4 "$(snapshots)" snapshots
	grows_by 10
	ends_without_a_hole
}

# A snapshot is due, and taken, whenever the last is so old.
test_taken_by_the_clock() {
	local times
	submit_counter
	echo 'snapshotInterval 2s' >"$dir/policy"
	wait_for 20 has_snapshot 3 || fail "no snapshot 3: $(tail -n 3 "$dir/job.events")"
	echo 'snapshotInterval off' >"$dir/policy"
	wait_status Executing
	times=$(sed -n 's/^\([^ ]*\)Z: Ready to take a snapshot/\1/p' "$dir/job.events")
	sleep 4
	[[ $times == "$(sed -n 's/^\([^ ]*\)Z: Ready to take a snapshot/\1/p' "$dir/job.events")" ]] || fail "it goes on: $(tail -n 3 "$dir/job.events")"
	# Two times that are next to each other are two seconds apart, or more.
	python3 - "$times" <<-'END' || fail "too early: $times"
		import sys
		from datetime import datetime
		times = [datetime.fromisoformat(text[:26]) for text in sys.argv[1].split()]
		sys.exit(any((b - a).total_seconds() < 1.9 for a, b in zip(times, times[1:])))
	END
	ends_without_a_hole
}

test_back_while_suspended() {
	local cut before
	submit_counter
	checkpoint 1
	grows_by 50
	suspend
	before=$(lines)
	go_back 1
	wait_event 'Resumed on new VM: .*, as it was at snapshot 1'
	cut=$(sed -n 's/.*The log file output is cut back to byte \([0-9]*\):.*/\1/p' "$dir/job.events")
	[[ -n $cut ]] || fail "no event says where the output was cut: $(tail -n 5 "$dir/job.events")"
	echo "cut back to byte $cut, line $(head -c "$cut" "$dir/output" | wc -l) of $before"
	cmp <(head -c "$cut" "$dir/output"; cat "$dir/log/output.lost-1") <(for ((i = 1; i <= before; i++)); do echo "$i $i $i"; done) ||
		fail "what was cut off is not what there was"
	grows_by 20
	output_is_whole
	# Again, and what it wrote since is kept beside the first.
	suspend
	go_back 1
	[[ -s $dir/log/output.lost-2 ]] || fail "what was cut off the second time is not there: $(ls "$dir/log")"
	grows_by 20
	output_is_whole
	# The suspended image of before is not wanted any more: work, data and the snapshot's.
	assert_volumes 3
	ends_without_a_hole
}

test_back_after_its_end() {
	submit_counter
	checkpoint 1
	grows_by 20
	echo "signal TERM" >"$dir/ctl"
	wait_end
	wait_status FailToComplete
	no_host_is_left || fail "hosts are left"
	assert_refused EOPNOTSUPP "$dir/ctl" resume '*resume is for a job that is Suspended*'
	[[ $(<"$dir/files/data/n") -gt 5 ]] || fail "its files cannot be read"
	echo c5.2xlarge >"$dir/instance"
	go_back 1
	assert_equal c5.2xlarge "$(info instance)" instance
	assert_equal "" "$(<"$dir/exit_code")" "exit code of a job that runs"
	[[ ! -e $dir/log/count ]] || fail "what it wrote at its end is still there"
	assert_equal 1 "$(wc -l <"$dir/log/count.lost-1")" "what it wrote at its end"
	grows_by 20
	output_is_whole
	ends_without_a_hole
}

test_back_after_a_cancel() {
	submit_counter
	checkpoint 1
	echo cancel >"$dir/ctl"
	wait_status Cancelled 40
	go_back 1
	grows_by 20
	output_is_whole
	ends_without_a_hole
}

test_taken_from_inside() {
	submit <<-'END'
		#!/bin/bash
		echo "stage 1"
		echo checkpoint >/float/jobs/self/ctl || echo "refused: $?"
		sleep 0.5
		echo "stage 2"
		sleep 1000
	END
	wait_line "$dir/output" "stage 2"
	wait_for 30 has_snapshot 1 || fail "no snapshot was taken"
	wait_status Executing
	echo cancel >"$dir/ctl"
	wait_end
	go_back 1
	wait_line "$dir/output" "stage 2"
	assert_equal "stage 1 stage 2" "$(xargs <"$dir/output")" output
	echo cancel >"$dir/ctl"
	wait_end
}

test_snapshots_move_with_the_job() {
	submit_counter
	checkpoint 1
	migrate c5.2xlarge
	grows_by 20
	checkpoint 2
	suspend
	go_back 1
	grows_by 20
	output_is_whole
	suspend
	go_back 2
	grows_by 20
	output_is_whole
	ends_without_a_hole
}

test_refused_in_the_wrong_state() {
	submit_counter
	assert_refused EOPNOTSUPP "$dir/ctl" 'resume 1' '*resume is for a job that is Suspended*'
	assert_refused EINVAL "$dir/ctl" 'checkpoint now' '*takes no argument*'
	suspend
	assert_refused EOPNOTSUPP "$dir/ctl" checkpoint '*checkpoint is for a job that is Executing*'
	assert_refused ENOENT "$dir/ctl" 'resume 1' '*no snapshot 1*'
	assert_refused ENOENT "$dir/ctl" 'resume last' '*no snapshot last*'
	echo resume >"$dir/ctl"
	wait_status Executing
	echo 'snapshots 0' >"$dir/policy"
	assert_refused EINVAL "$dir/ctl" checkpoint '*policy snapshots 0: write how many are kept*'
	ends_without_a_hole
}

test_removed_with_its_snapshots() {
	submit_counter
	checkpoint 1
	checkpoint 2
	echo cancel >"$dir/ctl"
	wait_end
	rm -r "$dir" || fail "rm -r fails"
	[[ ! -e $dir ]] || fail "the job is still there"
	assert_volumes 0
}

# The calls that a snapshot interrupts are made again, and what the job follows in its own files goes on.
test_its_calls_go_on() {
	submit <<-'END'
		#!/bin/bash
		busybox tail -f /var/log/float/lines >/var/log/float/seen &
		i=0
		while ((i < 400)); do
			echo "$((i += 1))" >>/var/log/float/lines
			sleep 0.02 || echo "sleep was cut off"
		done
		sleep 2
		kill %1
	END
	wait_line "$dir/log/lines" 20
	checkpoint 1
	checkpoint 2
	wait_line "$dir/log/lines" 200
	suspend
	go_back 2
	wait_end 90
	assert_equal 0 "$code" "exit code"
	cmp "$dir/log/lines" <(seq 400) || fail "lines are missing"
	cmp "$dir/log/seen" <(seq 400) || fail "tail did not see all of it: $(wc -l <"$dir/log/seen")"
	assert_equal "" "$(<"$dir/output")" output
}

test_a_step_fails() {
	local fault
	submit_counter
	for fault in checkpoint.volume checkpoint.freeze checkpoint.dump checkpoint.snapshot checkpoint.restore; do
		stop_daemon
		start_daemon fault=$fault:error
		echo checkpoint >"$dir/ctl"
		wait_status Executing 60
		wait_event "Snapshot failed: .*${fault#*.}.*; the job goes on"
		assert_equal "" "$(snapshots)" snapshots
		assert_volumes 2
		grows_by 5
	done
	output_is_whole
	checkpoint 6
	suspend
	for fault in resume.back resume.mount resume.restore; do
		stop_daemon
		start_daemon fault=$fault:error
		echo "resume 6" >"$dir/ctl"
		wait_for 60 is_suspended_again || fail "it is $(<"$dir/status")"
		assert_volumes 4
	done
	# What it had when it was suspended is untouched.
	echo resume >"$dir/ctl"
	wait_status Executing 60
	grows_by 5
	output_is_whole
	ends_without_a_hole
}

is_suspended_again() {
	status_is Suspended && no_host_is_left
}

test_floatfs_killed() {
	local ms
	submit_counter
	for ms in 20 60 100 140 180 220 260 320; do
		echo checkpoint >"$dir/ctl"
		sleep "0.$(printf %03d "$ms")"
		kill_and_start
		wait_status Executing 60
		grows_by 3
	done
	assert_equal 2 "$(snapshots | wc -w)" snapshots
	assert_volumes 4
	output_is_whole
	for ms in 100 250 350 450 550 650; do
		suspend
		echo "resume $(snapshots | grep -o "[0-9]*$")" >"$dir/ctl"
		sleep "0.$(printf %03d "$ms")"
		kill_and_start
		wait_status Executing 60
		assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
		grows_by 3
		output_is_whole
		assert_volumes 4
	done
	ends_without_a_hole
}

# What the job was promised is the job's: a snapshot that keeps blocks from it goes.
test_snapshots_make_room() {
	submit --dataVolume '[size=1]:/data' <<-'END'
		#!/bin/bash
		cd /data
		dd if=/dev/urandom of=file bs=1M count=700 status=none && sync
		trap 'go=yes' USR1
		echo full
		until [ "$go" ]; do sleep 0.1; done
		rm file
		for ((i = 0; i < 35; i++)); do
			dd if=/dev/urandom of=file.$i bs=1M count=20 status=none || exit 7
			sync
			sleep 0.1
		done
		echo written
		sleep 1000
	END
	wait_line "$dir/output" full 60
	checkpoint 1
	assert_equal 1 "$(snapshots)" snapshots
	echo "signal USR1" >"$dir/ctl"
	wait_event 'Snapshot 1 was given up: a volume of the job is short of room'
	assert_equal "" "$(snapshots)" snapshots
	wait_line "$dir/output" written 60
	assert_volumes 2
	assert_refused EOPNOTSUPP "$dir/ctl" 'resume 1'
	echo cancel >"$dir/ctl"
	wait_end
}
