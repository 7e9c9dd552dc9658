# shellcheck shell=bash
# abort: a migration is taken back until the new host has the job.

setup() {
	start_daemon
	import_small_root
}

submit_counter() { # MIB: that it holds
	submit -- "$1" <<-'END'
		#!/bin/bash
		if [[ $2 != 0 ]]; then
			dd if=/dev/zero bs="$2M" count=1 status=none > >(exec sleep 1000) &
			until grep -qE '^VmRSS:\s+[0-9]{6,} kB' /proc/$!/status; do sleep 0.1; done
		fi
		n=0
		while :; do echo "$((n += 1))"; sleep 0.02; done
	END
	wait_line "$dir/output" 5
}

is_settled() { # HOST: it runs there, alone
	status_is Executing && [[ $(ls "$MOUNT/hosts") == "$1" ]]
}

goes_on_without_a_hole() {
	local count
	count=$(wc -l <"$dir/output")
	wait_for 10 has_more_lines "$count" || fail "the job does not go on"
	head -n "$count" "$dir/output" | cmp - <(seq "$count") || fail "there is a hole in the output"
}

has_more_lines() {
	(($(wc -l <"$dir/output") > $1 + 5))
}

test_aborted_at_once() {
	local from
	submit_counter 0
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	echo abort >"$dir/ctl"
	# Twice is as good as once.
	echo abort >"$dir/ctl" 2>/dev/null || status_is Executing
	wait_for 30 is_settled "$from" || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts"), not on $from alone"
	wait_event 'Migration aborted; the job goes on where it was'
	! grep -q 'failed' "$dir/job.events" || fail "an abort is no failure: $(cat "$dir/job.events")"
	assert_equal c5.large "$(info instance)" instance
	goes_on_without_a_hole
	# And then it can be moved.
	migrate c5.2xlarge
	goes_on_without_a_hole
}

# At any moment: either it is taken back, or the refusal says that it is too late, and the job has moved.
test_aborted_some_time_later() {
	local from n answer aborted=0 late=0 to
	submit_counter 300
	for n in 1 2 3 4 5 6; do
		from=$(host)
		to=c5.2xlarge
		[[ $(info instance) != c5.2xlarge ]] || to=c5.xlarge
		echo "$to" >"$dir/migrate"
		sleep "0.$((n * 15 + 10))"
		answer=kept
		{ echo abort >"$dir/ctl"; } 2>/dev/null || answer=refused
		wait_for 60 status_is Executing || fail "it is $(<"$dir/status")"
		if [[ $answer == kept ]]; then
			wait_for 20 is_settled "$from" || fail "aborted, but it is on $(host), not on $from alone"
			aborted=$((aborted + 1))
		else
			assert_match '*late*' "$(<"$dir/error") late" error
			[[ $(host) != "$from" ]] || fail "too late to abort, but it was not moved: $(tail -n 4 "$dir/job.events")"
			late=$((late + 1))
		fi
		wait_for 20 one_host || fail "hosts are left: $(ls "$MOUNT/hosts")"
		goes_on_without_a_hole
	done
	assert_equal "$aborted" "$(grep -c 'Migration aborted' "$dir/job.events")" "events of aborts"
	echo "aborted $aborted, too late for $late"
}

one_host() {
	(($(find "$MOUNT/hosts" -mindepth 1 -maxdepth 1 | wc -l) == 1))
}

# In the frozen section, too: the tasks are dumped and dead, and are restored where they were.
test_aborted_while_frozen() {
	local from
	submit_counter 1200
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	wait_for 20 stands_still || fail "it was never seen frozen"
	echo abort >"$dir/ctl"
	wait_for 30 is_settled "$from" || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts"), not on $from alone"
	wait_event 'Migration aborted'
	goes_on_without_a_hole
}

stands_still() {
	local count
	count=$(wc -c <"$dir/output")
	sleep 0.15
	[[ $(wc -c <"$dir/output") == "$count" ]] && status_is Floating
}

test_nothing_to_abort() {
	submit_counter 0
	assert_refused EOPNOTSUPP "$dir/ctl" abort '*no migration under way*'
	migrate c5.2xlarge
	assert_refused EOPNOTSUPP "$dir/ctl" abort '*no migration under way*'
	assert_refused EINVAL "$dir/ctl" 'abort now' '*takes no argument*'
}

# While the agent waits for what passes by itself, for ten seconds, but not after an abort.
test_aborted_while_it_waits() {
	local from begun
	submit -- tcp <"$B/jobs/uncarried"
	wait_line "$dir/output" holding
	from=$(host)
	begun=$SECONDS
	echo c5.2xlarge >"$dir/migrate"
	sleep 2.5
	status_is Floating || fail "it is $(<"$dir/status"): $(tail -n 2 "$dir/job.events")"
	echo abort >"$dir/ctl"
	wait_for 30 is_settled "$from" || fail "it is $(<"$dir/status") with hosts $(ls "$MOUNT/hosts"), not on $from alone"
	wait_event 'Migration aborted; the job goes on where it was'
	((SECONDS - begun < 8)) || fail "the abort was not heeded for $((SECONDS - begun)) s"
	# It has lost nothing: uncarried checks it.
	echo 'signal TERM' >"$dir/ctl"
	wait_line "$dir/output" 'let go'
	migrate c5.2xlarge
	echo 'signal TERM' >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
}
