# shellcheck shell=bash
# The ways out of a container (tests/jobs/escape.c): none leads out, neither for a user nor for root.

setup() {
	start_daemon root_jobs
	make_root "$DIR/root"
	cp "$B/jobs/escape" "$DIR/root/escape"
	"$SHIM" image add small "$DIR/root"
	rm -rf "$DIR/root"
}

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

draft_as_nobody() { # ID; the script on stdin
	dir=$MOUNT/jobs/$1
	"${nobody[@]}" mkdir "$dir"
	"${nobody[@]}" sh -c "echo small >'$dir/image'; echo c5.large >'$dir/instance'; cat >'$dir/script'"
}

no_way_out() { # USER-ID
	wait_end 60
	cat "$dir/output" "$dir/stderr.autosave"
	has_line "$dir/output" "as user $1" || fail "it is not user $1"
	! grep ^OUT "$dir/output" || fail "there are ways out"
	assert_equal 2 "$(grep -cx 'ways out: 0' "$dir/output")" "rounds"
	assert_equal 0 "$code" "exit code"
}

# Tries them where it was started, and once more where it was moved to.
script=$'#!/bin/bash\ntrap \'exec /escape "$1"\' TERM\n/escape "$1"\necho up\nwhile :; do sleep 0.05; done'

moved() {
	wait_line "$dir/output" up
	has_line "$dir/output" 'ways out: 0' || fail "there are ways out: $(grep ^OUT "$dir/output")"
	migrate c5.2xlarge
	echo 'signal TERM' >"$dir/ctl"
}

test_as_a_user() {
	draft_as_nobody escape <<<"$script"
	"${nobody[@]}" sh -c "echo '[size=1]:/data' >'$dir/volumes'; echo start >'$dir/ctl'"
	moved
	no_way_out 65534
}

test_as_root() {
	submit --dataVolume '[size=1]:/data' <<<"$script"
	moved
	no_way_out 0
}


test_user_as_root() {
	draft_as_nobody asked <<<$'#!/bin/sh\nid -u; id -g; cat /float/jobs/self/status; echo "$HOME"; touch /usr/bin/own && echo written'
	"${nobody[@]}" sh -c "echo 'user root' >'$dir/policy'; echo start >'$dir/ctl'"
	wait_end
	assert_equal $'0\n0\nExecuting\n/root\nwritten' "$(<"$dir/output")" output
	assert_equal 65534 "$(stat -c %u "$dir")" "the owner of the job"
	assert_equal 65534 "$(info owner)" "the owner in info"
}

test_user_as_root_is_refused() {
	stop_daemon
	start_daemon
	draft_as_nobody refused <<<$'#!/bin/sh\nid -u'
	"${nobody[@]}" sh -c "echo 'user root' >'$dir/policy'"
	if "${nobody[@]}" sh -c "echo start >'$dir/ctl'" 2>/dev/null; then fail "it was started"; fi
	assert_match '*only root*' "$(<"$dir/error")" error
	assert_equal Draft "$(<"$dir/status")" status
}
