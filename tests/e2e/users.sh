# shellcheck shell=bash
# Several users on one mount: what is whose, how much each may have, and what each is told.

as() { # UID COMMAND...
	local uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}

setup() {
	start_daemon quota_jobs=2,quota_size=40
	import_small_root
	install -D -m 755 -t "$DIR/bin" "$SHIM"
}

draft_of() { # UID NAME; the script on stdin
	dir=$MOUNT/jobs/$2
	as "$1" mkdir "$dir"
	as "$1" sh -c "echo small >'$dir/image'; echo c5.large >'$dir/instance'; cat >'$dir/script'"
}

test_others_see_nothing_but_the_name() {
	local path
	draft_of 1001 private <<<$'#!/bin/sh\necho mine; sleep 1000'
	as 1001 sh -c "echo start >'$dir/ctl'"
	wait_line "$dir/output" mine
	as 1002 ls "$MOUNT/jobs" | grep -qx private || fail "its name is not seen"
	if as 1002 ls "$dir" 2>/dev/null; then fail "another user lists it"; fi
	for path in status output ctl migrate log info job.events error; do
		if as 1002 cat "$dir/$path" 2>/dev/null; then fail "another user reads $path"; fi
		if as 1002 sh -c "echo cancel >'$dir/$path'" 2>/dev/null; then fail "another user writes $path"; fi
	done
	if as 1002 rmdir "$dir" 2>/dev/null; then fail "another user removes it"; fi
	if as 1002 mv "$dir" "$MOUNT/jobs/stolen" 2>/dev/null; then fail "another user renames it"; fi
	as 1001 cat "$dir/status" | grep -qx Executing || fail "its owner cannot read it"
	assert_equal Executing "$(<"$dir/status")" "what root reads"
}

test_quota_of_jobs() {
	as 1003 mkdir "$MOUNT/jobs/one" "$MOUNT/jobs/two"
	if as 1003 mkdir "$MOUNT/jobs/three" 2>"$DIR/said"; then fail "a third job was made"; fi
	grep -q 'Disk quota exceeded' "$DIR/said" || fail "errno: $(<"$DIR/said")"
	assert_match '*2 jobs*rmdir*' "$(as 1003 cat "$MOUNT/error")" error
	assert_equal '' "$(as 1004 cat "$MOUNT/error")" "another user's error"
	as 1004 mkdir "$MOUNT/jobs/of-another"
	as 1003 rmdir "$MOUNT/jobs/one"
	as 1003 mkdir "$MOUNT/jobs/three"
	mkdir "$MOUNT/jobs/root-"{1,2,3} # root has none
	rmdir "$MOUNT"/jobs/root-* "$MOUNT"/jobs/{two,three,of-another}
}

test_quota_of_volumes() { # 16 GB are its root's
	draft_of 1005 large <<<$'#!/bin/sh\necho up; sleep 1000'
	as 1005 sh -c "echo '[size=25]:/data' >'$dir/volumes'"
	assert_refused EDQUOT "$dir/ctl" start '*41 GB*may have 40*'
	status_is Draft || fail "it is $(<"$dir/status")"
	as 1005 sh -c "echo '[size=20]:/data' >'$dir/volumes'; echo start >'$dir/ctl'"
	wait_line "$dir/output" up
	draft_of 1005 small <<<$'#!/bin/sh\necho up'
	assert_refused EDQUOT "$dir/ctl" start '*16 GB*36*'
	stop_daemon # what is used is known again after a restart
	start_daemon quota_jobs=2,quota_size=40
	assert_refused EDQUOT "$dir/ctl" start '*16 GB*36*'
	echo cancel >"$MOUNT/jobs/large/ctl"
	wait_for 30 rmdir "$MOUNT/jobs/large" || fail "it cannot be forgotten"
	as 1005 sh -c "echo start >'$dir/ctl'"
	wait_end
}

test_feed_of_events() {
	local line
	draft_of 1006 told <<<$'#!/bin/sh\ntrue'
	(exec setpriv --reuid=1006 --regid=1006 --clear-groups tail -n +1 -s 0.1 -f "$MOUNT/events") >"$DIR/followed" &
	local follower=$!
	as 1006 sh -c "echo start >'$dir/ctl'"
	wait_end
	wait_for 10 grep -q 'Job ended: Completed' "$DIR/followed" || fail "the end was not told: $(<"$DIR/followed")"
	as 1006 cat "$MOUNT/events" >"$DIR/all"
	kill $follower
	wait $follower || true
	assert_equal "$(stat -c %s "$DIR/all")" "$(as 1006 stat -c %s "$MOUNT/events")" "its size"
	while read -r line; do
		python3 -c 'import json,sys; e=json.loads(sys.argv[1]); assert e["job"]=="told" and e["time"] and e["event"]' "$line" ||
			fail "no event: $line"
	done <"$DIR/all"
	assert_equal "$(wc -l <"$dir/job.events")" "$(wc -l <"$DIR/all")" "events told"
	assert_equal '' "$(as 1007 cat "$MOUNT/events")" "what another user is told"
	grep -q '"job":"told"' "$MOUNT/events" || fail "root is not told"
}

test_ended_jobs_are_forgotten() {
	stop_daemon
	start_daemon keep=2s
	draft_of 1008 short <<<$'#!/bin/sh\ntrue'
	as 1008 mkdir "$MOUNT/jobs/draft"
	as 1008 sh -c "echo start >'$dir/ctl'"
	wait_end
	wait_for 10 test ! -e "$dir" || fail "it is there still"
	[[ -d $MOUNT/jobs/draft ]] || fail "a draft was forgotten"
	if "$B/floatfs" -o "$(daemon_options keep=soon)" "$MOUNT" 2>"$DIR/said"; then fail "keep=soon was taken"; fi
	grep -q 30d "$DIR/said" || fail "no sentence: $(<"$DIR/said")"
	stop_daemon
	start_daemon quota_jobs=2,quota_size=40
}

test_policy_of_a_running_job() {
	draft_of 1009 moved <<<$'#!/bin/sh\necho up; sleep 1000'
	as 1009 sh -c "echo start >'$dir/ctl'"
	wait_line "$dir/output" up
	assert_equal Spot "$(info market)" market
	as 1009 sh -c "echo 'vmPolicy [onDemand=true]' >'$dir/policy'"
	if as 1009 sh -c "echo other >'$dir/image'" 2>/dev/null; then fail "image can be written"; fi
	migrate c5.xlarge
	assert_equal OnDemand "$(info market)" "market after the move"
	as 1009 sh -c "echo 'vmPolicy nonsense' >'$dir/policy'"
	assert_refused EINVAL "$dir/migrate" c5.2xlarge '*vmPolicy*'
	status_is Executing || fail "it is $(<"$dir/status")"
}
