# shellcheck shell=bash
# float, the command line.

setup() {
	start_daemon
	import_small_root
}

float() {
	timeout 60 "$SHIM" "$@"
}

# A job by the shim, whose script is gone when submit has returned.
submit_sleeper() { # [FLAGS...]
	submit "$@" <<<$'#!/bin/sh\necho up\nexec sleep 1000'
}

test_snapshot() {
	submit <<-'END'
		#!/bin/bash
		while :; do sleep 1; done
	END
	wait_status Executing
	assert_equal 'Snapshot request has been submitted' "$(float snapshot -j "$job")" "what snapshot prints"
	wait_for 30 test -d "$dir/snapshots/1" || fail "no snapshot was taken"
	wait_status Executing
	float cancel -f -j "$job"
	wait_status Cancelled
	if float resume -j "$job" 2 2>"$DIR/said"; then fail "it went back to a snapshot that there is not"; fi
	assert_match '*no snapshot 2*' "$(<"$DIR/said")" "what is said of it"
	assert_equal 'Resume request has been submitted' "$(float resume -j "$job" 1)" "what resume prints"
	wait_status Executing
	float cancel -f -j "$job"
	wait_end
}

test_suspend_and_resume() {
	submit_sleeper
	wait_status Executing
	assert_equal 'Suspend request has been submitted' "$(float suspend -f -j "$job")" "what suspend prints"
	assert_match '*status: Suspend*' "$(float show -j "$job")" "the next show"
	wait_status Suspended
	assert_match '*status: Suspended*' "$(float show -j "$job")" "what is shown while it is suspended"
	if float hibernate -j "$job" 2>"$DIR/said"; then fail "a suspended job was suspended"; fi
	assert_match 'Error: *Suspended*' "$(<"$DIR/said")" "why"
	assert_equal 'Resume request has been submitted' "$(float resume -j "$job")" "what resume prints"
	wait_status Executing
	float hibernate --job="$job"
	wait_status Suspended
	float recover -j "$job"
	wait_status Executing
	float cancel -j "$job"
	wait_end
}

test_submit_and_show() {
	local shown
	submit_sleeper -n 'my job' --customTag 'who:me: "x"' --customTag word -e A=b --dataVolume '[size=1]:/data' --vmPolicy '[onDemand=true]'
	wait_status Executing
	shown=$(float show -j "$job")
	echo "$shown"
	assert_equal "id: $job" "$(head -n 1 <<<"$shown")" "first key"
	assert_equal 1 "$(grep -c 'id: ' <<<"$shown")" "lines with 'id: '"
	for line in 'name: my job' 'user: root' 'imageID: small' 'status: Executing' 'customTags:' '    who: "me: \"x\""' '    word: ""' \
		'vmPolicy:' '    policy: onDemand' 'stdout: stdout.autosave' 'stderr: stderr.autosave'; do
		grep -qxF -- "$line" <<<"$shown" || fail "no line '$line'"
	done
	grep -qxE 'workingHost: [0-9.]+ \(2Core4GB/OnDemand\)' <<<"$shown" || fail "no working host"
	grep -qxE 'submitTime: "20[0-9-]+T[0-9:]+Z"' <<<"$shown" || fail "no submit time"
	grep -qxE 'duration: ([0-9]+m)?[0-9]+s' <<<"$shown" || fail "no duration"
	grep -qxE 'cost: [0-9]+\.[0-9]{4} USD' <<<"$shown" || fail "no cost"
	shown=$(float --format json show --job="$job")
	assert_match "{\"id\": \"$job\", \"name\": \"my job\",*}" "$shown" "as JSON"
	float cancel -f -j "$job"
	assert_match '*status: Cancel*' "$(float show -j "$job")" "the next show"
	wait_end
}

test_exit_code_is_shown() {
	submit <<<$'#!/bin/sh\nexit 3'
	wait_end
	assert_match '*status: FailToComplete*rc: "3"*' "$(float show -j "$job")" show
}

test_refused_submit() {
	local said
	if said=$(float submit -i no-such-image -j /etc/hostname -t c5.large 2>&1); then fail "it was accepted"; fi
	assert_match 'Error: *no-such-image*' "$said" "what it says"
	if said=$(float submit -i small -j /etc/hostname -t c5.gigantic 2>&1); then fail "it was accepted"; fi
	assert_match 'Error: *c5.gigantic*' "$said" "what it says"
	if said=$(float submit -i small -j /etc/hostname --cpu 3:3 --mem 1:1 2>&1); then fail "it was accepted"; fi
	if said=$(float submit -i small -j /no/such/script 2>&1); then fail "it was accepted"; fi
	if said=$(float submit -i small -j /etc/hostname --bogus 2>&1); then fail "it was accepted"; fi
	assert_match 'Error: *--bogus*' "$said" "what it says"
	if said=$(float show -j no-such-job 2>&1); then fail "it was accepted"; fi
	assert_equal 'Error: Invalid argument, invalid job ID (code: 1003)' "$said" "what it says"
	assert_equal '' "$(ls "$MOUNT/jobs")" "jobs that refused submits left"
}

test_shapes() {
	local shape
	for shape in 2:2/1:1 2/1 1/1; do
		job=$(printf '#!/bin/sh\n' >"$DIR/s" && float submit -i small -j "$DIR/s" --cpu "${shape%/*}" --mem "${shape#*/}" | sed -n 's/^id: //p')
		dir=$MOUNT/jobs/$job
		wait_end
		assert_equal 0 "$code" "exit code of $shape on a $(info instance)"
	done
}

test_list() {
	local first
	assert_equal 'No jobs' "$(float list)" "without a job"
	assert_equal '[]' "$(float list --format json)" "without a job"
	submit_sleeper -n first
	first=$job
	wait_status Executing
	submit_sleeper -n second
	wait_status Executing
	float squeue all >"$DIR/list"
	assert_match '+-*-+' "$(sed -n 1p "$DIR/list")" "squeue"
	assert_match '| ID *| NAME *|' "$(sed -n 2p "$DIR/list")" "squeue"
	grep -q "^| $first *| first *|.* Executing *|" "$DIR/list" || fail "no row of the first: $(cat "$DIR/list")"
	grep -q "^| $job *| second *|.* Executing *|" "$DIR/list" || fail "no row of the second: $(cat "$DIR/list")"
	assert_equal 2 "$(float list | grep -c '| [A-Za-z0-9]\{21\} ')" rows
	assert_match "[[]{\"id\": \"*, {\"id\": \"*}]" "$(float list -F json)" "list -F json"
	assert_equal 2 "$(float list -f 'user=nobody or status=Executing' -f user=root | grep -c Executing)" filtered
	assert_equal 'No jobs' "$(float ls -f status=Suspended)" filtered
}

test_logs() {
	submit <<<$'#!/bin/sh\necho out; echo err >&2; mkdir $1/sub; echo deep >$1/sub/file'
	wait_end
	assert_equal "job.events
output
stderr.autosave
stdout.autosave
sub/file" "$(float log ls -j "$job" | sort)" "log ls"
	assert_equal out "$(float log cat output -j "$job")" "log cat"
	assert_equal deep "$(float log -j "$job" cat sub/file)" "log cat"
	assert_equal err "$(float log tail stderr.autosave -j "$job")" "log tail"
	assert_equal out "$(float log tail --follow output --job "$job")" "log tail --follow of an ended job"
	assert_match '20*Z: *' "$(float log cat job.events -j "$job")" events
	if float log cat nothing -j "$job" 2>/dev/null; then fail "a log that there is not was shown"; fi
}

test_stdin_is_not_read() {
	submit_sleeper
	float show -j "$job" < <(yes) >/dev/null
	float list < <(yes) >/dev/null
	float cancel -j "$job" < <(yes)
	wait_end
}

test_migrate() {
	local from said
	submit_sleeper
	wait_status Executing
	from=$(host)
	said=$(float migrate -f --instType c5.2xlarge -j "$job" --sync)
	assert_equal "$job on $from is now migrating, please use squeue/show to monitor migration progress. Check logs for details" \
		"$said" "what migrate says"
	[[ $(host) != "$from" ]] || fail "--sync did not wait"
	if said=$(float migrate --instType c5.gigantic -j "$job" 2>&1); then fail "it was accepted"; fi
	assert_match 'Error: *c5.gigantic*' "$said" "what it says"
}

test_images() {
	local said
	assert_match '*| NAME *| small *| ready *' "$(float image list)" "image list"
	if said=$(float image add broken "$DIR/no-such-place" 2>&1); then fail "it was imported"; fi
	assert_match 'Error: *no-such-place*' "$said" "what it says"
	[[ ! -e $MOUNT/images/broken ]] || fail "the failed image is still there"
	make_root "$DIR/other"
	tar -C "$DIR/other" -cf "$DIR/other.tar" .
	float image add other "$DIR/other.tar"
	assert_equal ready "$(<"$MOUNT/images/other/status")" status
	assert_match 'sha256:*' "$(<"$MOUNT/images/other/digest")" digest
	(($(<"$MOUNT/images/other/size") > 1000000)) || fail "size is $(<"$MOUNT/images/other/size")"
	image=other submit <<<$'#!/bin/sh\necho hello'
	wait_end
	assert_equal hello "$(<"$dir/output")" "output in the other image"
	rmdir "$dir"
	float image delete other
	[[ ! -e $MOUNT/images/other ]] || fail "it is still there"
}

test_secrets() {
	local said
	float secret set password 'a b{c}'
	assert_equal password "$(float secret ls)" "secret ls"
	if said=$(float secret get password 2>&1); then fail "it was shown: $said"; fi
	submit -e 'P={secret:password}' <<<$'#!/bin/sh\necho "$P"'
	wait_end
	assert_equal 'a b{c}' "$(<"$dir/output")" output
	float secret unset password
	if said=$(float secret unset password 2>&1); then fail "it was removed twice"; fi
	assert_match 'Error: *password*' "$said" "what it says"
}

test_other_shells() {
	local shell
	submit_sleeper
	for shell in dash bash 'busybox sh'; do
		assert_equal "id: $job" "$($shell "$SHIM" show -j "$job" | sed -n 1p)" "show by $shell"
		assert_equal 5 "$($shell "$SHIM" list | wc -l)" "lines of list by $shell"
	done
}
