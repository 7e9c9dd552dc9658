# shellcheck shell=bash
# Secrets: a job gets them in its environment, and nothing shows them.

as() { # UID COMMAND...
	local uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}

setup() {
	start_daemon
	import_small_root
}

test_reach_the_job_and_nobody_else() {
	echo 'first value' >"$MOUNT/secrets/token"
	printf 'pass' >"$MOUNT/secrets/pass.word-1"
	printf 'word' >>"$MOUNT/secrets/pass.word-1"
	dir=$MOUNT/jobs/uses
	mkdir "$dir"
	echo small >"$dir/image"
	echo c5.large >"$dir/instance"
	printf 'TOKEN={secret:token}\nURL=ftp://me:{secret:pass.word-1}@host/{secret:token}\nBRACE={secret:\n' >"$dir/env"
	cat >"$dir/script" <<<$'#!/bin/sh\necho "$TOKEN|$URL|$BRACE" >/tmp/seen\necho up; until [ -e /tmp/moved ]; do sleep 0.1; done; cat /tmp/seen'
	echo start >"$dir/ctl"
	wait_line "$dir/output" up
	grep -rsl 'first value' "$MOUNT" --include=env --include=info --include=info.json --include=job.events &&
		fail "it is shown"
	if cat "$MOUNT/secrets/token" 2>/dev/null; then fail "root reads a secret"; fi
	assert_equal 0 "$(stat -c %s "$MOUNT/secrets/token")" "size of a secret"
	rm "$MOUNT/secrets/token" # what runs has it, and is moved without
	migrate c5.xlarge
	wait_for 10 test -s "$dir/output"
	echo cancel >"$dir/ctl"
	wait_end
	! grep -rq 'first value' "$STATE" --include=record.json --include=log || fail "the state directory's records hold it"
}

test_value_is_the_last_one() {
	echo one >"$MOUNT/secrets/changed"
	echo two >"$MOUNT/secrets/changed"
	submit -e 'A={secret:changed}' <<<$'#!/bin/sh\necho "$A."'
	wait_end
	assert_equal two. "$(<"$dir/output")" output
	rm "$MOUNT/secrets/changed"
}

test_are_their_owners() {
	as 1001 sh -c "echo hidden >'$MOUNT/secrets/mine'"
	if as 1002 sh -c "echo changed >'$MOUNT/secrets/mine'" 2>/dev/null; then fail "another user writes it"; fi
	if as 1002 rm -f "$MOUNT/secrets/mine" 2>/dev/null; then fail "another user removes it"; fi
	if as 1001 cat "$MOUNT/secrets/mine" 2>/dev/null; then fail "its owner reads it"; fi
	dir=$MOUNT/jobs/thief
	as 1002 mkdir "$dir"
	as 1002 sh -c "echo small >'$dir/image'; echo c5.large >'$dir/instance'; echo '#!/bin/sh' >'$dir/script'"
	as 1002 sh -c "echo 'A={secret:mine}' >'$dir/env'"
	assert_refused EINVAL "$dir/ctl" start '*mine*none of yours*'
	as 1002 sh -c "echo 'A={secret:nothing}' >'$dir/env'"
	assert_refused EINVAL "$dir/ctl" start '*nothing*'
	stop_daemon
	start_daemon
	as 1001 sh -c "echo again >'$MOUNT/secrets/mine'"
	as 1001 rm "$MOUNT/secrets/mine"
	[[ ! -e $MOUNT/secrets/mine ]] || fail "it is there still"
}

test_bad_ones() {
	if { echo x >"$MOUNT/secrets/.hidden"; } 2>/dev/null; then fail "a bad name was taken"; fi
	if { head -c 70000 /dev/zero >"$MOUNT/secrets/large"; } 2>/dev/null; then fail "70 kB were taken"; fi
	rm "$MOUNT/secrets/large"
	if { : >"$MOUNT/jobs/file"; } 2>/dev/null; then fail "a file was made in jobs"; fi
	dir=$MOUNT/jobs/binary
	mkdir "$dir"
	echo small >"$dir/image"
	echo c5.large >"$dir/instance"
	echo '#!/bin/sh' >"$dir/script"
	echo 'A={secret:binary}' >"$dir/env"
	for bytes in 'a\0b' 'a\377b'; do
		# shellcheck disable=SC2059 # it is a format
		printf "$bytes" >"$MOUNT/secrets/binary"
		assert_refused EINVAL "$dir/ctl" start '*no text*'
	done
	rm "$MOUNT/secrets/binary"
}
