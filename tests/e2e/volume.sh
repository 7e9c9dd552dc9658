# shellcheck shell=bash
# Data volumes: they are moved, not copied, and hold what they promise.

setup() {
	start_daemon
	make_root "$DIR/root" fallocate
	"$SHIM" image add small "$DIR/root"
}

# The files below the state directory that take up more than half a GiB. A host that is given back meanwhile takes
# its files away under the eyes of find and du.
big_files() {
	{ find "$STATE" -xdev -type f -size +1000000 -printf '%i\n' 2>/dev/null || :; } | sort
}

megabytes_used() {
	{ du -sm "$STATE" 2>/dev/null || :; } | cut -f1
}

test_a_gigabyte_is_not_copied() {
	local before used
	submit --dataVolume '[size=10]:/data' <<-'END'
		#!/bin/bash
		set -e
		dd if=/dev/zero of=/data/big bs=1M count=1024 status=none
		sync /data/big
		echo written
		until [ "$(readlink /float/jobs/self/host)" != "${first:=$(readlink /float/jobs/self/host)}" ]; do sleep 0.1; done
		stat -c %s /data/big
	END
	wait_line "$dir/output" written 60
	before=$(big_files)
	used=$(megabytes_used)
	[[ -n $before ]] || fail "the gigabyte is nowhere"
	migrate c5.2xlarge
	assert_equal "$before" "$(big_files)" "files of the state directory that hold much"
	(($(megabytes_used) < used + 300)) || fail "the migration took $(($(megabytes_used) - used)) MiB"
	wait_end
	assert_equal $((1 << 30)) "$(tail -n 1 "$dir/output")" "size of the file afterwards"
}

test_full() {
	local other
	submit <<<$'#!/bin/sh\nwhile :; do echo on; sleep 0.1; done'
	other=$dir
	submit --dataVolume '[size=10]:/data' <<-'END'
		#!/bin/bash
		fallocate -l 9500000000 /data/reserved && echo reserved
		dd if=/dev/zero of=/data/written bs=1000000 count=500 status=none && echo written
		fallocate -l 3G /data/more 2>&1
		dd if=/dev/zero of=/data/rest bs=1M count=2000 2>&1 | grep -o 'No space left on device'
		echo "root is not full" >/file && cat /file
		ls /data
	END
	wait_end 100
	assert_equal 0 "$code" "exit code"
	assert_match "reserved
written
*No space left*
*No space left on device
root is not full
*" "$(<"$dir/output")" "what the job saw"
	dir=$other
	status_is Executing || fail "the other job is $(<"$dir/status")"
	code=$(wc -l <"$dir/output")
	sleep 0.5
	(($(wc -l <"$dir/output") > code)) || fail "the other job does not go on"
}

test_two_volumes() {
	submit --dataVolume '[size=1]:/data' --dataVolume '[size=2]:/other/place' <<-'END'
		#!/bin/bash
		echo one >/data/file
		echo two >/other/place/file
		echo written
		first=$(readlink /float/jobs/self/host)
		while [ "$(readlink /float/jobs/self/host)" = "$first" ]; do sleep 0.1; done
		cat /data/file /other/place/file
	END
	wait_line "$dir/output" written
	migrate c5.large
	wait_end
	assert_equal $'written\none\ntwo' "$(<"$dir/output")" output
}
