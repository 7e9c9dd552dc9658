# shellcheck shell=bash
# The end of a job as its user sees it: waiting for it, and forgetting it.

setup() {
	start_daemon
	import_small_root
}

# A shell's `read` takes a byte at a time.
test_wait_in_small_reads() {
	local said
	submit <<<$'#!/bin/sh\nsleep 0.5\nexit 17'
	# shellcheck disable=SC2016 # that shell's
	said=$(timeout 20 dash -c 'read code <"$1"; echo "$code"' dash "$dir/wait")
	assert_equal 17 "$said" "what read got"
	assert_equal 17 "$(timeout 20 dd if="$dir/wait" bs=1 status=none)" "byte by byte"
	assert_equal 7 "$(timeout 20 dd if="$dir/wait" bs=1 skip=1 status=none)" "from its middle"
}

test_rmdir_right_after_the_end() {
	local i
	for i in 1 2 3 4 5; do
		submit <<<$'#!/bin/sh\nexit 0'
		wait_end
		rmdir "$dir"
		[[ ! -e $dir ]] || fail "the job is still there"
		assert_equal '' "$(ls "$STATE/jobs")" "what is kept of the $i. job"
	done
}

test_rm_r() {
	submit <<<$'#!/bin/sh\nmkdir $1/sub\necho x >$1/sub/y\nsleep 1'
	if rm -r "$dir" 2>/dev/null; then fail "a running job was removed"; fi
	wait_end
	assert_equal x "$(<"$dir/log/sub/y")" "a log after the refused rm"
	rm -r "$dir"
	[[ ! -e $dir ]] || fail "the job is still there"
	mkdir "$MOUNT/jobs/draft"
	rm -r "$MOUNT/jobs/draft"
	[[ ! -e $MOUNT/jobs/draft ]] || fail "the draft is still there"
}
