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

test_vsock() {
	refused_and_goes_on vsock '(AF_VSOCK) open, which cannot be carried'
}

test_landlock() {
	refused_and_goes_on landlock 'a file or device open of a kind that cannot be carried'
}

test_message_with_credentials() {
	refused_and_goes_on message 'on its way with the credentials of its sender, which cannot be carried'
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
