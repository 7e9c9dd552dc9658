# shellcheck shell=bash
# Drafts: a job's directory before it is started.

setup() {
	start_daemon
	import_small_root
}

draft() { # sets $dir to a fresh one that could be started
	dir=$MOUNT/jobs/draft-$RANDOM$RANDOM
	mkdir "$dir"
	echo small >"$dir/image"
	echo c5.large >"$dir/instance"
	printf '#!/bin/sh\necho hello\n' >"$dir/script"
}

test_settings_are_small_files() {
	local name
	dir=$MOUNT/jobs/My.draft_1-x
	mkdir "$dir"
	assert_equal Draft "$(<"$dir/status")" status
	for name in name image instance script args env volumes tags policy; do
		assert_equal '' "$(<"$dir/$name")" "$name of a new draft"
		echo "first" >"$dir/$name"
		echo "second line" >>"$dir/$name"
		assert_equal $'first\nsecond line' "$(<"$dir/$name")" "$name read back"
		assert_equal 18 "$(stat -c %s "$dir/$name")" "size of $name"
		printf 'F' | dd of="$dir/$name" conv=notrunc bs=1 status=none
		assert_equal 'First' "$(head -n 1 "$dir/$name")" "$name after a write in its middle"
		truncate -s 5 "$dir/$name"
		assert_equal First "$(<"$dir/$name")" "$name truncated"
		: >"$dir/$name"
		assert_equal '' "$(<"$dir/$name")" "$name emptied"
	done
	rmdir "$dir"
	[[ ! -e $dir ]] || fail "the draft is still there"
}

test_settings_are_text() { # a record that cannot be read would keep floatfs from starting
	draft
	printf 'caf\xe9\n' >"$dir/name"
	assert_refused EINVAL "$dir/ctl" start '*name*UTF-8*'
	printf 'caf\xc3\xa9\n' >"$dir/name"
	echo start >"$dir/ctl"
	wait_end
	assert_equal $'caf\xc3\xa9' "$(info name)" name
}

test_started_by_hand() {
	draft
	printf 'one\ntwo words\n' >"$dir/args"
	printf 'A=1\nB=two words\n' >"$dir/env"
	printf 'key:value\nword\n' >"$dir/tags"
	printf '#!/bin/sh\necho "$A,$B,$2,$3"\n' >"$dir/script"
	echo "named by hand" >"$dir/name"
	echo start >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
	assert_equal '1,two words,one,two words' "$(<"$dir/output")" output
	assert_equal "named by hand" "$(info name)" name
	assert_equal $'key:value\nword' "$(info tags)" tags
	assert_equal "one
two words" "$(<"$dir/args")" "args after the start"
}

test_start_is_refused() {
	draft
	echo no-such-image >"$dir/image"
	assert_refused ENOENT "$dir/ctl" start '*no-such-image*'
	: >"$dir/image"
	assert_refused EINVAL "$dir/ctl" start '*image*'
	echo small >"$dir/image"
	echo c5.gigantic >"$dir/instance"
	assert_refused EINVAL "$dir/ctl" start '*c5.gigantic*'
	: >"$dir/instance"
	assert_refused EINVAL "$dir/ctl" start
	echo c5.large >"$dir/instance"
	: >"$dir/script"
	assert_refused EINVAL "$dir/ctl" start '*script*'
	printf '#!/bin/sh\n' >"$dir/script"
	echo '[size=0]:/data' >"$dir/volumes"
	assert_refused EINVAL "$dir/ctl" start '*size*'
	echo '[size=1]:/proc' >"$dir/volumes"
	assert_refused EINVAL "$dir/ctl" start '*/proc*'
	printf '[size=1]:/data\n[size=1]:/data/more\n' >"$dir/volumes"
	assert_refused EINVAL "$dir/ctl" start '*lie in one another*'
	: >"$dir/volumes"
	seq 5000 >"$dir/args"
	assert_refused EINVAL "$dir/ctl" start '*args*'
	: >"$dir/args"
	echo 'not an assignment' >"$dir/env"
	assert_refused EINVAL "$dir/ctl" start '*NAME=VALUE*'
	: >"$dir/env"
	status_is Draft || fail "it is $(<"$dir/status")"
	no_host_is_left || fail "a refused start made a host"
	echo start >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code after all"
}

test_wrong_state() {
	draft
	assert_refused EOPNOTSUPP "$dir/migrate" c5.xlarge
	printf '#!/bin/sh\nsleep 1000\n' >"$dir/script"
	echo start >"$dir/ctl"
	assert_refused EOPNOTSUPP "$dir/ctl" start
	wait_status Executing
	if rmdir "$dir" 2>/dev/null; then fail "a running job was forgotten"; fi
	if { echo other >"$dir/image"; } 2>/dev/null; then fail "the image of a running job was changed"; fi
	assert_equal small "$(<"$dir/image")" image
	echo cancel >"$dir/ctl"
	wait_status Cancelled
	assert_refused EOPNOTSUPP "$dir/ctl" cancel
	assert_refused EOPNOTSUPP "$dir/migrate" c5.xlarge
}

test_controls_take_one_command() {
	draft
	assert_refused EINVAL "$dir/ctl" 'begin'
	assert_refused EINVAL "$dir/ctl" $'start\nstart'
	assert_refused EINVAL "$dir/ctl" ''
	assert_refused EINVAL "$dir/ctl" "$(head -c 5000 /dev/zero | tr '\0' x)"
	status_is Draft || fail "it is $(<"$dir/status")"
}

test_bad_names() {
	local name said
	for name in .hidden -dash 'with space' "$(printf 'a%.0s' {1..65})" $'new\nline' self; do
		if mkdir "$MOUNT/jobs/$name" 2>/dev/null; then fail "mkdir '$name' was accepted"; fi
	done
	draft
	if mkdir "$dir" 2>/dev/null; then fail "it was made twice"; fi
	if mkdir "$MOUNT/hosts/i-1" 2>/dev/null; then fail "a host was made by mkdir"; fi
	if said=$( { : >"$MOUNT/jobs/file"; } 2>&1); then fail "a file was made among the jobs"; fi
	assert_match '*Operation not permitted*' "$said" "making a file among the jobs"
	if { : >"$dir/file"; } 2>/dev/null; then fail "a file was made in a job"; fi
}

test_belongs_to_its_user() {
	local other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	draft
	assert_equal 0 "$(stat -c %u "$dir")" owner
	if "${other[@]}" sh -c "echo start >$dir/ctl" 2>/dev/null; then fail "another user started the job"; fi
	if "${other[@]}" cat "$dir/script" 2>/dev/null; then fail "another user read the script"; fi
	dir=$MOUNT/jobs/of-nobody
	"${other[@]}" mkdir "$dir"
	assert_equal 65534 "$(stat -c %u "$dir")" owner
	"${other[@]}" sh -c "echo small >$dir/image; echo c5.large >$dir/instance; printf '#!/bin/sh\nid -u\n' >$dir/script; echo start >$dir/ctl"
	wait_end
	assert_equal 65534 "$(<"$dir/output")" "uid inside"
	"${other[@]}" rmdir "$dir"
}
