# shellcheck shell=bash
# The documented example, run unchanged: five minutes and a half.
timeout=600

# The documented script itself where it is at hand, else the project's job that prints the same.
documented_script() {
	local reference=${FLOAT_SHARED:-$top/../shared}/reference/progmigrate.sh
	if [[ -r $reference ]]; then echo "$reference"; else echo "$top/tests/jobs/stages.sh"; fi
}

expected_output() { # JOB HOST
	local n
	echo "Starting to execute shell script"
	echo "Job migrates when count reaches 50"
	for ((n = 1; n < 300; n++)); do
		if ((n % 3)); then echo "$n is NOT a multiple of three"; else echo "$n is a multiple of three"; fi
		if ((n == 50)); then
			echo "$1 on $2 is now migrating, please use squeue/show to monitor migration progress. Check logs for details"
			echo "Job migration initiated, wait for a while"
		fi
	done
	echo "Job is complete"
}

# The events of the documented log, with the true values of this run, in the order that they must have.
expected_events() { # FROM-HOST TO-HOST
	cat <<END
Ready to migrate with instance type: c5.2xlarge, cpu: 8, memory: 16, zone: $zone, last instance type: c5.large(Spot)
Ready to create new host to recover
Created new host: $2(Spot)*
Ready to checkpoint host $1
Checkpointed host $1, result: *$container*, duration [0-9]*.[0-9]*s
Got 1 containers on host $2
Ready to recover *$container* on host $2
Job floated
Migrated to new VM: $2*
Ready to reclaim host $1
Reclaimed host $1
END
}

assert_events() { # FROM-HOST TO-HOST: each once, in their order
	local wanted line stamp='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z: ' last=0 number
	if grep -vE "$stamp" "$dir/job.events"; then fail "these events have no proper time"; fi
	sed -E "s/$stamp//" "$dir/job.events" >"$DIR/events"
	while read -r wanted; do
		number=0
		while read -r line; do
			number=$((number + 1))
			# shellcheck disable=SC2053 # it is a pattern
			[[ $line == $wanted ]] && break
			line=''
		done <"$DIR/events"
		[[ -n $line ]] || fail "no event '$wanted' in: $(cat "$DIR/events")"
		((number > last)) || fail "the event '$wanted' comes too early in: $(cat "$DIR/events")"
		last=$number
	done < <(expected_events "$@")
}

test_documented() {
	local from to zone container
	start_daemon
	[[ -r $B/job-image.tar ]] || fail "there is no $B/job-image.tar: run make job-image"
	"$SHIM" image add centos9 "$B/job-image.tar"
	cp "$(documented_script)" "$DIR/progmigrate.sh"
	cd "$DIR"
	"$SHIM" submit -i centos9 -j ./progmigrate.sh --instType c5.large --dataVolume '[size=10]:/data' >submitted
	rm progmigrate.sh
	job=$(sed -n 's/^id: //p' submitted)
	dir=$MOUNT/jobs/$job
	wait_status Executing
	from=$(host) zone=$(info zone) container=$(info container)
	assert_equal c5.large "$(info instance)" "instance before"
	"$SHIM" log tail --follow output -j "$job" >followed &
	wait_for 90 has_moved "$from" || fail "it was not moved: $(cat "$dir/job.events")"
	to=$(host)
	assert_equal c5.2xlarge "$(info instance)" "instance after"
	wait_end 400
	assert_equal 0 "$code" "exit code"
	wait "$!" || fail "float log tail failed"
	expected_output "$job" "$from" >expected
	diff expected followed || fail "what was followed is not what it must be"
	diff expected "$dir/output" || fail "output is not what it must be"
	status_is Completed || fail "status is $(<"$dir/status")"
	assert_equal 0 "$(<"$dir/exit_code")" exit_code
	wait_for 30 no_host_is_left || fail "hosts are left: $(ls "$MOUNT/hosts")"
	assert_events "$from" "$to"
	"$SHIM" log cat job.events -j "$job"
	echo "frozen for $(info freeze_us) us"
}
