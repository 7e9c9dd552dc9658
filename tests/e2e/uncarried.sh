# shellcheck shell=bash
# What cannot be carried to another machine: the migration is refused with the reason, and the job goes on.

setup() {
	start_daemon
	import_small_root
}

refused_and_goes_on() { # KIND REASON-PATTERN
	local from count
	submit -- "$1" <"$B/jobs/uncarried"
	wait_for 30 holds_or_ended || fail "it does not run"
	if ! has_line "$dir/output" holding; then
		wait_end
		assert_equal 77 "$code" "exit code"
		echo "this kernel has no $1"
		return
	fi
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	wait_event "Migration to instance type c5.2xlarge failed: .*; the job goes on where it was" 60
	grep -q "failed: .*$2" "$dir/job.events" || fail "another reason: $(tail -n 1 "$dir/job.events")"
	wait_status Executing
	grep -q "$2" "$dir/error" || fail "error does not say why: '$(<"$dir/error")'"
	assert_equal "$from" "$(host)" host
	count=$(wc -l <"$dir/output")
	wait_for 10 has_more_lines "$count" || fail "the job does not go on"
	tail -n +2 "$dir/output" | head -n "$count" | cmp - <(seq "$count") || fail "there is a hole in the output"
	# Without it the job can be moved.
	echo 'signal TERM' >"$dir/ctl"
	wait_line "$dir/output" 'let go'
	migrate c5.2xlarge
	echo 'signal TERM' >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
}

holds_or_ended() {
	has_line "$dir/output" holding || [[ -s $dir/exit_code ]]
}

has_more_lines() {
	(($(wc -l <"$dir/output") > $1 + 5))
}

# It is let go of while the agent tries again: the job moves, and nothing is lost.
refused_until_it_passes() { # KIND REASON-PATTERN
	submit -- "$1+" <"$B/jobs/uncarried"
	wait_line "$dir/output" holding
	migrate c5.2xlarge
	wait_event "Waited .* to checkpoint: .*$2"
	wait_line "$dir/output" 'let go'
	echo 'signal TERM' >"$dir/ctl"
	echo 'signal TERM' >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
}

test_vsock() {
	refused_and_goes_on vsock '(AF_VSOCK) open, which cannot be carried'
}

test_crypto_socket() {
	refused_and_goes_on alg 'a socket open of a kind that cannot be carried'
}

test_seccomp_listener() {
	refused_and_goes_on seccomp 'a file or device open of a kind that cannot be carried'
}

test_pidfd_of_a_thread() {
	refused_and_goes_on thread 'a pidfd of a single thread open (PIDFD_THREAD), which cannot be carried'
}

test_pipe_of_packets() {
	refused_and_goes_on packets 'a pipe open that keeps messages apart (O_DIRECT), which cannot be carried'
}

test_eventfd_semaphore() {
	refused_and_goes_on semaphore 'process [0-9]* (script) has an eventfd open that is a semaphore'
}

test_eventfd_far() {
	refused_and_goes_on count 'an eventfd open that has counted beyond 32 bits'
}

test_large_deleted_file() {
	refused_and_goes_on large 'a deleted file that the job holds open is too large to be carried'
}

test_traced() {
	refused_and_goes_on traced 'a process of the job is being traced by another one'
}

test_first_thread_has_ended() {
	refused_and_goes_on headless 'goes on in other threads after its first one has ended'
}

test_vfork() {
	refused_and_goes_on vfork 'a process of the job did not stop in time'
}

test_unread_events() {
	refused_and_goes_on events 'has not yet read all events of an inotify'
}

test_connection_is_never_accepted() {
	refused_and_goes_on tcp '(script) has not yet accepted a connection'
}

test_connection_is_accepted_soon() {
	refused_until_it_passes tcp 'has not yet accepted a connection'
}

test_unix_connection_is_never_accepted() {
	refused_and_goes_on unix '(script) has not yet accepted a connection'
}

test_unix_connection_is_accepted_soon() {
	refused_until_it_passes unix 'has not yet accepted a connection'
}

test_closed_unix_connection() {
	refused_and_goes_on closed '(script) has not yet accepted a connection'
}

test_half_open_connection() {
	refused_and_goes_on deferred 'is half open'
}

test_message_with_credentials() {
	refused_and_goes_on message 'a message that it has not read yet, which says who has sent'
}

test_target_is_too_small() {
	local from
	submit -- hold 700 <"$B/jobs/limits"
	wait_line "$dir/output" holding
	from=$(host)
	assert_refused ENOMEM "$dir/migrate" t3.nano '*which holds 7*'
	assert_equal "$from" "$(host)" host
	status_is Executing || fail "it is $(<"$dir/status")"
	migrate t3.small
}
