# shellcheck shell=bash
# suspend and resume: the job is an image on its volumes, its host is gone, and it goes on elsewhere.
timeout=240

setup() {
	start_daemon
	import_small_root
}

submit_counter() { # [FLAGS OF float submit...]
	submit "$@" <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		[ ! -d /data ] || echo kept >/data/file
		echo kept >/root-file
		n=0
		while :; do
			echo "$((n += 1))"
			sleep 0.01
		done
	END
	wait_line "$dir/output" 5
}

suspend() {
	echo suspend >"$dir/ctl"
	wait_status Suspended 60
	no_host_is_left || fail "a suspended job has a host: $(ls "$MOUNT/hosts")"
}

resume() {
	echo resume >"$dir/ctl"
	wait_status Executing 60
	assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
}

grew_past() { # LINES
	(($(wc -l <"$dir/output") > $1))
}

goes_on() {
	wait_for 10 grew_past "$(wc -l <"$dir/output")" || fail "the output stands still"
}

ends_without_a_hole() {
	local n
	echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 5 "$code" "exit code"
	n=$(<"$dir/log/count")
	head -n "$n" "$dir/output" | cmp - <(seq "$n") || fail "there is a hole in the output"
	assert_equal start "$(<"$dir/log/starts")" "starts"
	rmdir "$dir"
	no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	assert_volumes 0
}

# The last line that the job wrote is the one that it goes on after.
test_output_is_whole_while_suspended() {
	local last i
	submit_counter --dataVolume '[size=1]:/data'
	for i in 1 2 3 4 5 6 7 8 9 10; do
		suspend
		assert_equal none "$(host)" host
		last=$(tail -n 1 "$dir/output")
		cmp "$dir/output" <(seq "$last") || fail "there is a hole in the output, or half a line"
		assert_volumes 3
		if ((i % 2)); then echo c5.2xlarge >"$dir/instance"; else echo 'cpu=2 mem=4' >"$dir/instance"; fi
		cmp "$dir/output" <(seq "$last") || fail "the output changed while the job was suspended"
		resume
		wait_for 10 grew_past "$last" || fail "the output stands still after line $last"
		assert_equal $((last + 1)) "$(sed -n "$((last + 1))p" "$dir/output")" "the next line"
		assert_volumes 2
		if ((i % 2)); then assert_equal c5.2xlarge "$(info instance)" instance; fi
		echo "$i: after line $last on $(info instance)"
	done
	ends_without_a_hole
}

test_on_the_type_where_it_ran() {
	submit_counter
	migrate c5.2xlarge
	assert_equal c5.large "$(<"$dir/instance")" "what instance shows of a job that runs"
	suspend
	assert_equal c5.2xlarge "$(<"$dir/instance")" "what instance shows of a suspended job"
	resume
	assert_equal c5.2xlarge "$(info instance)" instance
	if { echo c5.large >"$dir/instance"; } 2>/dev/null; then fail "instance can be written while the job runs"; fi
	migrate c5.large
	ends_without_a_hole
}

test_events() {
	local from
	submit_counter
	from=$(host)
	suspend
	resume
	wait_event "Resumed on new VM: $(host)"
	sed 's/^[^ ]* //; s/, up after .*//; s/duration .*/duration/' "$dir/job.events" | tail -n 12 >"$DIR/told"
	diff "$DIR/told" - <<-END
		Ready to suspend
		Ready to checkpoint host $from
		Checkpointed host $from, result: &{map[$(info container):]}, duration
		Ready to reclaim host $from
		Reclaimed host $from
		Job suspended
		Ready to resume with instance type: c5.large, cpu: 2, memory: 4, zone: local-a, last instance type: c5.large(Spot)
		Ready to create new host to recover
		Created new host: $(host)(Spot)
		Got 1 containers on host $(host)
		Ready to recover &{$(info container) false true} on host $(host)
		Resumed on new VM: $(host)
	END
	ends_without_a_hole
}

test_from_inside() {
	local last
	submit <<-'END'
		#!/bin/bash
		echo up
		sleep 0.3
		echo suspend >/float/jobs/self/ctl
		echo "answered $?"
		for n in {1..200}; do echo "$n"; sleep 0.02; done
		cat /float/jobs/self/status
	END
	wait_line "$dir/output" up
	wait_status Suspended 30
	wait_line "$dir/output" 'answered 0'
	last=$(tail -n 1 "$dir/output")
	[[ $last != Executing ]] || fail "it was not suspended before its end"
	resume
	wait_end 60
	assert_equal 0 "$code" "exit code"
	cmp "$dir/output" <(echo up; echo 'answered 0'; seq 200; echo Executing) || fail "the output is not whole"
}

# What follows a file sees every byte once.
test_tail_across() {
	local pid
	submit_counter
	tail -c +1 -f "$dir/output" >"$DIR/tailed" &
	pid=$!
	suspend
	resume
	goes_on
	suspend
	resume
	goes_on
	echo "signal TERM" >"$dir/ctl"
	wait_end
	wait_for 10 cmp -s "$DIR/tailed" "$dir/output" || fail "tail -f has $(wc -c <"$DIR/tailed") bytes of $(wc -c <"$dir/output")"
	kill $pid
}

test_a_great_deal_of_output() {
	submit <<-'END'
		#!/bin/bash
		trap 'exit 0' TERM
		echo up >"$1/ready"
		while :; do seq 100000 >>"$1/many"; done
	END
	wait_for 20 test -s "$dir/log/many" || fail "it writes nothing"
	suspend
	head -c "$(stat -c %s "$dir/log/many")" <(while seq 100000 2>/dev/null; do :; done) | cmp - "$dir/log/many" || fail "there is a hole"
	echo cancel >"$dir/ctl"
	wait_status Cancelled
}

test_floatfs_restarts_meanwhile() {
	local last
	submit_counter
	suspend
	last=$(tail -n 1 "$dir/output")
	stop_daemon
	start_daemon
	status_is Suspended || fail "it is $(<"$dir/status") after the restart"
	cmp "$dir/output" <(seq "$last") || fail "the output is not whole"
	assert_volumes 2
	resume
	goes_on
	ends_without_a_hole
}

test_cancelled_while_suspended() {
	submit_counter
	suspend
	echo cancel >"$dir/ctl"
	wait_status Cancelled
	timeout 5 cat "$dir/wait" >/dev/null || fail "its end cannot be waited for"
	rmdir "$dir"
	assert_volumes 0
}

test_cancelled_on_the_way() {
	submit_counter
	echo suspend >"$dir/ctl"
	echo cancel >"$dir/ctl"
	assert_match 'Cancel*' "$(<"$dir/status")" "status at once"
	wait_status Cancelled
	rmdir "$dir"
	submit_counter
	suspend
	echo resume >"$dir/ctl"
	echo cancel >"$dir/ctl"
	wait_status Cancelled
	rmdir "$dir"
	assert_volumes 0
}

test_refused() {
	submit_counter
	assert_refused EOPNOTSUPP "$dir/ctl" resume '*Suspended*Executing*'
	assert_refused EINVAL "$dir/ctl" 'suspend now' '*takes no argument*'
	echo c5.2xlarge >"$dir/migrate"
	assert_refused EBUSY "$dir/ctl" suspend '*Floating*'
	wait_for 30 status_is Executing
	echo suspend >"$dir/ctl"
	echo suspend >"$dir/ctl" || fail "asking again was refused"
	assert_refused EBUSY "$dir/ctl" resume '*Suspending*'
	wait_status Suspended
	assert_refused EOPNOTSUPP "$dir/ctl" suspend '*Executing*Suspended*'
	assert_refused EOPNOTSUPP "$dir/ctl" 'signal TERM' '*Executing*Suspended*'
	assert_refused EOPNOTSUPP "$dir/ctl" abort
	assert_refused EOPNOTSUPP "$dir/ctl" start
	assert_refused EOPNOTSUPP "$dir/migrate" c5.large
	if rmdir "$dir" 2>/dev/null; then fail "a suspended job was forgotten"; fi
	echo c5.gigantic >"$dir/instance"
	assert_refused EINVAL "$dir/ctl" resume '*c5.gigantic*'
	: >"$dir/instance"
	assert_refused EINVAL "$dir/ctl" resume '*instance*'
	echo c5.large >"$dir/instance"
	echo resume >"$dir/ctl"
	echo resume >"$dir/ctl" || fail "asking again was refused"
	assert_refused EBUSY "$dir/ctl" suspend '*Resuming*'
	wait_status Executing
	assert_refused EINVAL "$dir/ctl" sleep '*start, cancel, suspend, resume*signal NAME'
	ends_without_a_hole
}

test_too_small_for_its_memory() {
	submit <<-'END'
		#!/bin/bash
		dd if=/dev/zero bs=1300M count=1 status=none > >(exec sleep 1000) &
		until grep -qE '^VmRSS:\s+[0-9]{7,} kB' /proc/$!/status; do sleep 0.1; done
		echo holds it
		wait
	END
	wait_line "$dir/output" 'holds it'
	suspend
	echo t3.micro >"$dir/instance"
	assert_refused ENOMEM "$dir/ctl" resume '*t3.micro*'
	status_is Suspended || fail "it is $(<"$dir/status")"
	echo c5.large >"$dir/instance"
	resume
	echo cancel >"$dir/ctl"
	wait_status Cancelled
}

fault() { # FAULT: the daemon is started anew with it
	stop_daemon
	start_daemon "fault=$1:error"
}

# Neither host can take it up: then it is suspended, and the same verb brings it back.
test_after_a_move_that_failed_on_both_sides() {
	expect_log 'job .* is suspended: .*a fault was asked for'
	submit_counter
	fault 'migrate.restore:error+undo.restore'
	echo c5.2xlarge >"$dir/migrate"
	wait_status Suspended 60
	wait_event 'Migration to instance type c5.2xlarge failed: .*; the job is suspended'
	assert_equal c5.large "$(<"$dir/instance")" "what instance shows"
	assert_volumes 2
	# It does not need the host where it could not go on.
	echo terminate >"$MOUNT/hosts/$(host)/ctl"
	status_is Suspended || fail "it is $(<"$dir/status")"
	resume
	goes_on
	ends_without_a_hole
}

test_suspend_fails() {
	local step from
	submit_counter
	from=$(host)
	for step in plan volume grant freeze dump release; do
		fault "suspend.$step"
		echo suspend >"$dir/ctl"
		wait_for 30 status_is Executing || fail "it is $(<"$dir/status")"
		assert_equal "$from" "$(host)" "host after suspend.$step failed"
		tail -n 1 "$dir/job.events" | grep -q 'Suspend failed: .*goes on where it was' || fail "no reason: $(cat "$dir/job.events")"
		goes_on
		assert_volumes 1
	done
	suspend
	resume
	ends_without_a_hole
}

test_resume_fails() {
	local step
	submit_counter
	suspend
	for step in leave plan host prepare grant adopt mount restore; do
		fault "resume.$step"
		echo resume >"$dir/ctl"
		wait_for 30 status_is Suspended || fail "it is $(<"$dir/status")"
		tail -n 1 "$dir/job.events" | grep -q 'Resume .* failed: .*suspended as before' || fail "no reason: $(cat "$dir/job.events")"
		[[ $(<"$dir/error") == *' '*' '* ]] || fail "no sentence in error"
		no_host_is_left || fail "a host is left: $(ls "$MOUNT/hosts")"
		assert_volumes 2
	done
	resume
	goes_on
	ends_without_a_hole
}
