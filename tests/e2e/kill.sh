# shellcheck shell=bash
# floatfs, or an agent, killed at many instants of an operation, and started again: it is finished or undone, once, and
# nothing is left over.
timeout=240

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

submit_counter() {
	submit <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		echo start >>"$1/starts"
		n=0
		while :; do
			echo "$((n += 1))"
			sleep 0.01
		done
	END
}

wait_ms() {
	sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

other_type() {
	if [[ $(info instance) == c5.large ]]; then echo c5.2xlarge; else echo c5.large; fi
}

ends_without_a_hole() {
	local n
	[[ $(<"$dir/status") == FailToComplete ]] || echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 5 "$code" "exit code"
	n=$(<"$dir/log/count")
	head -n "$n" "$dir/output" | cmp - <(seq "$n") || fail "there is a hole in the output"
	assert_equal start "$(<"$dir/log/starts")" "starts"
	rmdir "$dir"
	no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	assert_volumes 0
}

test_while_starting() {
	local ms
	start_daemon
	for ms in 0 60 120 180 240 300 400 500; do
		submit_counter
		wait_ms $ms
		kill_and_start
		wait_status Executing 60
		wait_line "$dir/output" 5
		assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
		ends_without_a_hole
	done
	stop_daemon
}

test_while_migrating() {
	local ms
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 80 160 200 240 280 320 360 400 450 500 600; do
		other_type >"$dir/migrate"
		wait_ms $ms
		kill_and_start
		wait_status Executing 60
		assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
		assert_volumes 1
	done
	echo "$(info migrations) migrations"
	ends_without_a_hole
	stop_daemon
}

test_while_a_migration_is_undone() {
	local ms from
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	from=$(host)
	for ms in 300 350 400 450 500 600; do
		stop_daemon
		start_daemon fault=migrate.restore:error
		other_type >"$dir/migrate"
		wait_ms $ms
		kill_and_start
		wait_status Executing 60
		assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
		assert_volumes 1
	done
	echo "from $from to $(host)"
	ends_without_a_hole
	stop_daemon
}

# Whatever was recorded is taken to its end, and nothing of the output is missing at any time.
test_while_suspending() {
	local ms last
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 30 60 90 120 150 180 210 240 280 320 360 400 500; do
		echo suspend >"$dir/ctl"
		wait_ms $ms
		kill_and_start
		wait_status Suspended 60
		no_host_is_left || fail "a suspended job has a host: $(ls "$MOUNT/hosts")"
		last=$(tail -n 1 "$dir/output")
		cmp "$dir/output" <(seq "$last") || fail "there is a hole in the output"
		assert_volumes 2
		echo resume >"$dir/ctl"
		wait_status Executing 60
		assert_volumes 1
	done
	ends_without_a_hole
	stop_daemon
}

test_while_resuming() {
	local ms
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 80 160 240 320 400 450 500 550 600 650 700 800; do
		echo suspend >"$dir/ctl"
		wait_status Suspended
		other_type >"$dir/instance"
		echo resume >"$dir/ctl"
		wait_ms $ms
		kill_and_start
		wait_status Executing 60
		assert_equal "$(host)" "$(ls "$MOUNT/hosts")" hosts
		assert_volumes 1
	done
	ends_without_a_hole
	stop_daemon
}

test_while_a_resume_is_undone() {
	local ms
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	echo suspend >"$dir/ctl"
	wait_status Suspended
	for ms in 300 400 500 600 700 800; do
		stop_daemon
		start_daemon fault=resume.restore:error
		echo resume >"$dir/ctl"
		wait_ms $ms
		kill_and_start
		wait_for 60 is_settled || fail "it is $(<"$dir/status")"
		echo "$ms ms: $(<"$dir/status")"
		if status_is Executing; then
			assert_volumes 1
			echo suspend >"$dir/ctl"
			wait_status Suspended
		fi
		no_host_is_left || fail "a suspended job has a host: $(ls "$MOUNT/hosts")"
		assert_volumes 2
	done
	echo resume >"$dir/ctl"
	wait_status Executing
	ends_without_a_hole
	stop_daemon
}

is_settled() { # the fault is gone with the daemon that was killed: either end is right
	status_is Suspended || status_is Executing
}

test_while_ending() {
	local ms
	start_daemon
	for ms in 0 40 80 120 160; do
		submit_counter
		wait_line "$dir/output" 5
		echo "signal TERM" >"$dir/ctl"
		wait_ms $ms
		kill_and_start
		wait_status FailToComplete
		ends_without_a_hole
	done
	stop_daemon
}

agent_of() { # HOST: not its keepers
	local init child
	init=$(init_of "$1")
	for child in $(<"/proc/$init/task/$init/children"); do
		[[ $(tr '\0' ' ' <"/proc/$child/cmdline") != *'float-agent ' ]] || echo "$child"
	done
}

new_host() { # FROM: the one that its job goes to
	local host
	for host in "$MOUNT"/hosts/*; do
		[[ ! -d $host || ${host##*/} == "$1" ]] || basename "$host"
	done | grep .
}

kill_agent() { # HOST MILLISECONDS, its host may be gone by then
	local agent
	agent=$(agent_of "$1") || return 0
	wait_ms "$2"
	[[ -z $agent ]] || kill -KILL "$agent" 2>/dev/null || true
}

is_over() {
	status_is Executing && [[ $(ls "$MOUNT/hosts") == "$(host)" ]]
}

agent_killed() { # old|new
	local ms from to
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 40 90 120 150 180 210 240; do
		from=$(host)
		other_type >"$dir/migrate"
		wait_for 10 new_host "$from" >/dev/null || fail "there is no new host"
		to=$(new_host "$from") || to=$from # it has moved by now
		case $1 in
		old) kill_agent "$from" $ms ;;
		new) kill_agent "$to" $ms ;;
		esac
		wait_for 60 is_over || fail "it is $(<"$dir/status"), hosts $(ls "$MOUNT/hosts")"
		assert_volumes 1
		echo "$ms ms: $(tail -n 2 "$dir/job.events")"
	done
	wait_for 20 wait_signal || fail "the job takes no signal"
	ends_without_a_hole
	stop_daemon
}

test_the_agent_while_suspending() {
	local ms last
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 40 80 100 120 140 160 180 200 220 240; do
		last=$(host)
		echo suspend >"$dir/ctl"
		kill_agent "$last" $ms
		wait_for 90 is_settled || fail "it is $(<"$dir/status")"
		echo "$ms ms: $(<"$dir/status"), $(tail -n 1 "$dir/job.events")"
		if status_is Suspended; then
			no_host_is_left || fail "a suspended job has a host: $(ls "$MOUNT/hosts")"
			last=$(tail -n 1 "$dir/output")
			cmp "$dir/output" <(seq "$last") || fail "there is a hole in the output"
			echo resume >"$dir/ctl"
			wait_status Executing
		fi
		assert_volumes 1
	done
	wait_for 20 wait_signal || fail "the job takes no signal"
	ends_without_a_hole
	stop_daemon
}

test_the_agent_while_resuming() {
	local ms to
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 50 100 150 200 250; do
		echo suspend >"$dir/ctl"
		wait_status Suspended
		other_type >"$dir/instance"
		echo resume >"$dir/ctl"
		wait_for 10 new_host none >/dev/null || fail "there is no new host"
		to=$(new_host none)
		wait_for 10 agent_is_up "$to" || fail "no agent came up"
		kill_agent "$to" $ms
		wait_for 90 is_settled || fail "it is $(<"$dir/status")"
		echo "$ms ms: $(<"$dir/status"), $(tail -n 1 "$dir/job.events")"
		if status_is Suspended; then
			no_host_is_left || fail "a suspended job has a host: $(ls "$MOUNT/hosts")"
			echo resume >"$dir/ctl"
			wait_status Executing
		fi
		assert_volumes 1
	done
	wait_for 20 wait_signal || fail "the job takes no signal"
	ends_without_a_hole
	stop_daemon
}

test_the_agent_while_capturing() {
	local ms last
	start_daemon
	submit_counter
	wait_line "$dir/output" 5
	for ms in 0 20 40 60 80 100 120 140 160 200; do
		echo checkpoint >"$dir/ctl"
		kill_agent "$(host)" $ms
		wait_for 90 is_settled || fail "it is $(<"$dir/status")"
		echo "$ms ms: $(<"$dir/status"), $(tail -n 1 "$dir/job.events")"
		status_is Executing || fail "the job does not go on"
		last=$(tail -n 1 "$dir/output")
		wait_line "$dir/output" $((last + 5))
	done
	# What an agent did not live to tell of its last one is told by the next: the logs are cut where they must be.
	wait_for 20 wait_signal || fail "the job takes no signal"
	echo suspend >"$dir/ctl"
	wait_status Suspended 60
	last=$(cd "$dir/snapshots" && printf '%s\n' * | sort -n | tail -n 1)
	echo "resume $last" >"$dir/ctl"
	wait_status Executing 60
	wait_line "$dir/output" $(($(tail -n 1 "$dir/output") + 5))
	wait_for 20 wait_signal || fail "the job takes no signal"
	ends_without_a_hole
	stop_daemon
}

agent_is_up() { # HOST
	[[ -n $(agent_of "$1" 2>/dev/null) ]]
}

wait_signal() { # the agent may be on its way back
	{ echo "signal CONT" >"$dir/ctl"; } 2>/dev/null
}

test_the_old_hosts_agent() {
	agent_killed old
}

test_the_new_hosts_agent() {
	agent_killed new
}
