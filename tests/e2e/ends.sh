# shellcheck shell=bash
# The ends of a job: each has its status, its exit code, its whole output and an event that says why, and leaves nothing.

setup() {
	start_daemon
	make_root "$DIR/root" fallocate setsid yes
	"$SHIM" image add small "$DIR/root"
	rm -rf "$DIR/root"
}

ends_with() { # STATUS EXIT-CODE EVENT-PATTERN [SECONDS]
	wait_end "${4:-60}"
	assert_equal "$1" "$(<"$dir/status")" status
	assert_equal "$2" "$code" "exit code"
	assert_equal "$2" "$(<"$dir/exit_code")" exit_code
	assert_match "$3" "$(tail -n 1 "$dir/job.events" | cut -d' ' -f2-)" "the last event"
	wait_for 20 no_host_is_left || fail "its host is left"
	echo "ended: $(tail -n 1 "$dir/job.events")"
}

# The arguments are those of tests/jobs/limits.c.
submit_limits() {
	submit -- "$@" <"$B/jobs/limits"
}

test_fails() {
	submit <<<$'#!/bin/sh\necho before the end\nexit 7'
	ends_with FailToComplete 7 'Job ended: FailToComplete, exit code 7'
	assert_equal 'before the end' "$(<"$dir/output")" output
}

fails_to_execute() { # SENTENCE-PATTERN
	wait_status FailToExecute
	grep -q "Job could not be started: .*$1" "$dir/job.events" || fail "no event: $(cat "$dir/job.events")"
	grep -q "$1" "$dir/error" || fail "error says '$(<"$dir/error")'"
	wait_for 20 no_host_is_left || fail "its host is left"
}

test_not_executable() {
	submit <<<$'#!/no/such/shell\n'
	fails_to_execute 'the image has no /no/such/shell$'
	submit <<<'no first line'
	fails_to_execute 'let its first line be like #!/bin/bash$'
	# A program for another architecture: the same header, another machine.
	{ head -c 18 "$B/jobs/limits" && printf '\377\176' && tail -c +21 "$B/jobs/limits"; } >"$DIR/foreign"
	submit <"$DIR/foreign"
	fails_to_execute 'a program for other machines'
}

test_cancelled() {
	submit <<<$'#!/bin/bash\ntrap "echo told; exit 5" TERM\necho up\nsleep 1000'
	wait_line "$dir/output" up
	echo cancel >"$dir/ctl"
	# The sleep is told as well, or bash would wait for it.
	ends_with Cancelled 5 'Job ended: Cancelled*' 5
	assert_equal $'up\ntold' "$(<"$dir/output")" output
}

test_cancelled_but_ignores_it() {
	local began=$SECONDS
	submit <<<$'#!/bin/bash\ntrap "echo no" TERM\necho up\nwhile :; do sleep 1000; done'
	wait_line "$dir/output" up
	echo cancel >"$dir/ctl"
	ends_with Cancelled 137 'Job ended: Cancelled*' 30
	((SECONDS - began >= 10)) || fail "it had $((SECONDS - began)) s only"
	assert_equal $'up\nno' "$(<"$dir/output")" output
}

test_cancelled_while_stopped() {
	submit <<<$'#!/bin/bash\ntrap "echo told; exit 0" TERM\necho up\nkill -STOP $$\nsleep 1000'
	wait_line "$dir/output" up
	echo cancel >"$dir/ctl"
	ends_with Cancelled 0 'Job ended: Cancelled*' 5
}

test_binary_output() {
	submit <<<$'#!/bin/bash\nhead -c 300000 /dev/urandom >/tmp/bytes\ncat /tmp/bytes\nprintf "\\0\\0"\nsha256sum </tmp/bytes >"$1/sum"'
	ends_with Completed 0 'Job ended: Completed'
	assert_equal 300002 "$(stat -c %s "$dir/output")" "size of output"
	assert_equal "$(<"$dir/log/sum")" "$(head -c 300000 "$dir/output" | sha256sum)" sha256sum
}

test_200_mb_of_output() {
	submit <<<$'#!/bin/bash\nyes "a line of two hundred megabytes" | head -c 200000000'
	ends_with Completed 0 'Job ended: Completed'
	cmp <(yes "a line of two hundred megabytes" | head -c 200000000) "$dir/output" || fail "output is not whole"
}

test_no_output() {
	submit <<<$'#!/bin/sh\n:'
	ends_with Completed 0 'Job ended: Completed'
	assert_equal 0 "$(stat -c %s "$dir/output")" "size of output"
}

# What is left in the background ends with the script.
test_daemonizes() {
	submit <<-'END'
		#!/bin/bash
		setsid bash -c 'for ((n = 1; ; n++)); do echo $n; sleep 0.01; done' </dev/null &
		disown
		sleep 0.5
		echo the script ends
	END
	ends_with Completed 0 'Job ended: Completed'
	grep -v 'the script ends' "$dir/output" >"$DIR/numbers"
	(($(wc -l <"$DIR/numbers") > 10)) || fail "the daemon wrote $(wc -l <"$DIR/numbers") lines"
	seq "$(wc -l <"$DIR/numbers")" | cmp - "$DIR/numbers" || fail "there is a hole in the output"
	assert_equal 1 "$(grep -c 'the script ends' "$dir/output")" "lines of the script"
}

test_orphans_are_reaped() {
	submit <<-'END'
		#!/bin/bash
		for n in {1..50}; do (sleep 0.2 &); done
		sleep 1
		cat /proc/[0-9]*/stat | grep -c ') Z '
		kill -KILL 1
		kill -TERM 1
		echo $$ $PPID
	END
	ends_with Completed 0 'Job ended: Completed'
	assert_equal $'0\n2 1' "$(<"$dir/output")" output
}

test_killed_by_signals() {
	local signal
	for signal in KILL TERM SEGV HUP; do
		submit <<<$'#!/bin/bash\necho up\nkill -'$signal$' $$\nsleep 1000'
		ends_with FailToComplete $((128 + $(kill -l $signal))) "Job ended: FailToComplete, killed by signal $(kill -l $signal) (*)"
		assert_equal up "$(<"$dir/output")" output
	done
}

test_signal_reaches_the_script_only() {
	submit <<<$'#!/bin/bash\ntrap "echo got it" USR1\nsleep 1000 & sleep=$!\necho up\nwait $sleep\nkill $sleep\nwait $sleep\necho $?'
	wait_line "$dir/output" up
	echo 'signal USR1' >"$dir/ctl"
	ends_with Completed 0 'Job ended: Completed'
	assert_equal $'up\ngot it\n143' "$(<"$dir/output")" output
}

test_fills_its_data_volume() {
	submit --dataVolume '[size=1]:/data' <<<$'#!/bin/bash\n'"$fill_disk"$'\nfill /data\nset -e\necho full\nhead -c 100000 /dev/zero >/data/file'
	ends_with FailToComplete 1 'Job ended: FailToComplete, exit code 1, /data is full'
	assert_equal full "$(<"$dir/output")" output
	grep -q 'No space left on device' "$dir/stderr.autosave" || fail "no ENOSPC: $(cat "$dir/stderr.autosave")"
}

test_fills_its_work_volume() {
	submit <<<$'#!/bin/bash\n'"$fill_disk"$'\necho up\nfill /tmp\nset -e\nhead -c 100000 /dev/zero >/file'
	ends_with FailToComplete 1 'Job ended: FailToComplete, exit code 1, / is full'
	assert_equal up "$(<"$dir/output")" output
}

test_forks_without_end() {
	submit_limits forks
	ends_with FailToComplete 4 'Job ended: FailToComplete, exit code 4, no more processes allowed'
	assert_match 'refused after [0-9]*: Resource temporarily unavailable' "$(<"$dir/output")" output
}

test_fork_bomb_is_cancelled() {
	submit_limits bomb
	wait_line "$dir/output" forking
	sleep 1
	echo cancel >"$dir/ctl"
	ends_with Cancelled 143 'Job ended: Cancelled*' 30
}

test_out_of_memory() {
	local type=t3.nano
	submit_limits memory
	ends_with FailToComplete 137 'Job ended: FailToComplete, killed by signal 9 (Killed), out of memory'
	assert_equal 'taking memory' "$(<"$dir/output")" output
	submit_limits child
	ends_with FailToComplete 137 'Job ended: FailToComplete, exit code 137, out of memory'
}
