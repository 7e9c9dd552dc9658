# shellcheck shell=bash
# The programs of tests/survive: what a process has, it still has after a migration.

setup() {
	start_daemon
	import_small_root
}

survives() { # PROGRAM
	[[ -x $B/survive/$1 ]] || fail "there is no $B/survive/$1"
	submit --dataVolume '[size=1]:/data' <"$B/survive/$1"
	wait_line "$dir/output" READY
	migrate c5.2xlarge
	wait_end
	assert_equal $'READY\nOK' "$(<"$dir/output")" "what $1 says"
	assert_equal 0 "$code" "exit code of $1"
}

test_pipe() {
	survives pipe
}

test_timers() {
	survives timers
}

test_mmap() {
	survives mmap
}

test_files() {
	survives files
}

test_threads() {
	survives threads
}
