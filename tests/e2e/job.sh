# shellcheck shell=bash
# A job's life without a migration.

setup() {
	start_daemon
	import_small_root
}

test_output_and_exit_code() {
	submit <<-'END'
		#!/bin/bash
		echo to stdout
		echo to stderr >&2
		mkdir -p "$1/sub/deeper"
		echo in a file >"$1/sub/deeper/file"
		echo another >"$FLOAT_LOG_PATH/another.log"
	END
	wait_end
	assert_equal 0 "$code" wait
	assert_equal 0 "$(<"$dir/exit_code")" exit_code
	assert_equal Completed "$(<"$dir/status")" status
	assert_equal 'to stdout' "$(<"$dir/stdout.autosave")" stdout.autosave
	assert_equal 'to stderr' "$(<"$dir/stderr.autosave")" stderr.autosave
	assert_equal 'to stdout' "$(<"$dir/output")" output
	assert_equal 'in a file' "$(<"$dir/log/sub/deeper/file")" "log/sub/deeper/file"
	assert_equal another "$(<"$dir/log/another.log")" "log/another.log"
	assert_equal 'to stdout' "$(<"$dir/log/stdout.autosave")" "log/stdout.autosave"
	wait_for 20 no_host_is_left || fail "its host is left"
}

test_exit_code_3() {
	submit <<<$'#!/bin/sh\nexit 3'
	wait_end
	assert_equal 3 "$code" wait
	assert_equal 3 "$(<"$dir/exit_code")" exit_code
	assert_equal FailToComplete "$(<"$dir/status")" status
	assert_equal 3 "$(info exitCode)" "exitCode of info"
}

test_killed_by_a_signal() {
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	echo 'signal KILL' >"$dir/ctl"
	wait_end
	assert_equal 137 "$code" wait
	assert_equal FailToComplete "$(<"$dir/status")" status
}

test_exit_code_is_empty_before_the_end() {
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
	assert_equal '' "$(<"$dir/exit_code")" exit_code
	assert_equal Executing "$(<"$dir/status")" status
	# A parked read answers Ctrl-C at once.
	local began=$SECONDS
	if timeout --foreground -s INT 1 cat "$dir/wait"; then fail "wait did not wait"; fi
	((SECONDS - began < 5)) || fail "a parked read did not end on Ctrl-C"
}

test_script_without_interpreter() {
	submit <<<$'echo there is no first line that names an interpreter'
	wait_for 30 status_is FailToExecute || fail "it is $(<"$dir/status")"
	[[ -n $(info reason) ]] || fail "info does not say why"
	assert_match '*#!*' "$(info reason)" reason
	submit <<<$'#!/no/such/interpreter\n'
	wait_for 30 status_is FailToExecute || fail "it is $(<"$dir/status")"
	[[ -n $(info reason) ]] || fail "info does not say why"
	info reason
	grep -q interpreter "$dir/job.events" || fail "job.events does not say why: $(cat "$dir/job.events")"
	wait_for 20 no_host_is_left || fail "a host is left"
}

test_environment() {
	submit -e GREETING='hello, world' -e EMPTY= -n 'a name' -- first '--second one' <<-'END'
		#!/bin/bash
		printf '%s\n' "$FLOAT_JOB_ID" "$FLOAT_LOG_PATH" "$1" "$2" "$3" "$GREETING" "[$EMPTY]" "$FLOAT_MOUNT" "$FLOAT_USER" \
			"$FLOAT_USER_ID" "${FLOAT_JOB_PATH:+set}" "${FLOAT_ADDR:+set}" "${PATH:+set}" "${HOME:+set}" "$(readlink /proc/self/fd/0)" "$$"
		ls /proc | grep -c '^[0-9]*$' >&2
	END
	wait_end
	assert_equal "$job
/var/log/float
/var/log/float
first
--second one
hello, world
[]
/float
root
0
set
set
set
set
/dev/null
2" "$(sed 's/^[0-9]*$/&/' "$dir/output")" "what the job sees"
	(($(<"$dir/stderr.autosave") < 10)) || fail "the job sees processes that are not its own"
}

test_own_tree() {
	submit -n 'my name' <<-'END'
		#!/bin/sh
		cat /float/jobs/self/status
		grep '^name ' "/float/jobs/$FLOAT_JOB_ID/info"
		ls /float/jobs
		/opt/memverge/bin/float show | head -n 1
		/opt/memverge/bin/float list --format json | head -c 2
		echo
	END
	wait_end
	assert_match "Executing
name my name
*$job*
id: $job
[[]{" "$(<"$dir/output")" "what the job sees of itself"
}

test_any_executable() {
	[[ -x $B/survive/pipe ]] || fail "there is no $B/survive/pipe: run make check"
	submit -- --and an argument <"$(type -P true)"
	wait_end
	assert_equal 0 "$code" "exit code of a program as the script"
}

test_info_is_info_json() {
	local key value
	submit --customTag 'quote:"x" \ y' <<<$'#!/bin/sh\nsleep 1000'
	wait_status Executing
	for key in id name owner user status image instance zone market host hostAddress container submitTime startTime; do
		value=$(info "$key")
		[[ -n $value ]] || fail "info has no $key: $(cat "$dir/info")"
		case $key in
		owner) grep -qE "\"$key\": ?$value\\b" "$dir/info.json" || fail "info.json has another $key: $(cat "$dir/info.json")" ;;
		*) grep -qF "\"$value\"" "$dir/info.json" || fail "info.json has another $key: $(cat "$dir/info.json")" ;;
		esac
	done
	assert_equal "$job" "$(info id)" id
	assert_match '20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]*Z' "$(info submitTime)" submitTime
	assert_equal "$(info host)" "$(host)" host
	assert_equal 'quote:"x" \ y' "$(info tags)" tags
	echo cancel >"$dir/ctl"
}

test_hosts() {
	local id
	submit <<<$'#!/bin/sh\nsleep 1000'
	wait_status Executing
	id=$(host)
	assert_match 'i-*' "$id" "a host's id"
	assert_equal "$id" "$(ls "$MOUNT/hosts")" hosts/
	assert_equal c5.large "$(<"$MOUNT/hosts/$id/instance")" instance
	assert_equal Spot "$(<"$MOUNT/hosts/$id/market")" market
	assert_equal "$(info zone)" "$(<"$MOUNT/hosts/$id/zone")" zone
	assert_equal "$(info hostAddress)" "$(<"$MOUNT/hosts/$id/address")" address
	[[ -s $MOUNT/hosts/$id/status ]] || fail "the host has no status"
	assert_equal "$dir" "$(realpath "$MOUNT/hosts/$id/job")" "the host's job"
	[[ -d $dir/host/ ]] || fail "the job's host leads nowhere"
}

test_cancel() {
	submit <<<$'#!/bin/sh\necho up\nexec sleep 1000'
	wait_line "$dir/output" up
	echo cancel >"$dir/ctl"
	assert_match 'Cancel*' "$(<"$dir/status")" "status at once"
	wait_status Cancelled 20
	wait_for 20 no_host_is_left || fail "its host is left"
	assert_equal up "$(<"$dir/output")" "output of a cancelled job"
	rmdir "$dir"
	[[ ! -e $dir ]] || fail "it is still there"
}

test_cancel_before_it_runs() {
	submit <<<$'#!/bin/sh\nsleep 1000'
	echo cancel >"$dir/ctl"
	wait_status Cancelled 20
	wait_for 20 no_host_is_left || fail "its host is left"
}

test_two_jobs_at_once() {
	local first
	submit <<<$'#!/bin/sh\nhostname 2>/dev/null; sleep 1; echo one'
	first=$dir
	submit <<<$'#!/bin/sh\nsleep 1; echo two'
	wait_end
	assert_equal two "$(tail -n 1 "$dir/output")" "output of the second"
	dir=$first
	wait_end
	assert_equal one "$(tail -n 1 "$dir/output")" "output of the first"
}

test_live_files() {
	submit <<<$'#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; sleep 0.2; done'
	wait_for 10 test -e "$dir/output" || fail "there is no output"
	timeout 60 tail -n +1 -s 0.1 -f "$dir/output" >"$DIR/followed" &
	local tail=$!
	wait_end
	sleep 1.5
	kill $tail
	diff <(for n in 1 2 3 4 5 6 7 8 9 10; do echo "line $n"; done) "$DIR/followed" || fail "tail -f has not each line once"
	assert_equal "$(wc -c <"$DIR/followed")" "$(stat -c %s "$dir/output")" "size of output"
	assert_equal $'ine 1\nline' "$(dd if="$dir/output" bs=1 skip=1 count=10 status=none)" "dd skip="
}
