# shellcheck shell=bash
# Migrations of a running job, from outside and inside.

setup() {
	start_daemon
	import_small_root
}

# A job that prints lines without end, and keeps a file in the root overlay and one in /data.
submit_counter() { # [FLAGS OF float submit...]
	submit "$@" <<-'END'
		#!/bin/bash
		echo "of the first host" >/root-file
		[ ! -d /data ] || echo "of the first host" >/data/file
		trap 'cat /root-file /data/file; exit 0' TERM
		echo started
		n=0
		while :; do
			echo "$((n += 1))"
			sleep 0.02
		done
	END
	wait_line "$dir/output" started
}

# The memory limit of the cgroup that holds a host, in bytes.
memory_limit_of() { # HOST
	# Other tests' groups come and go meanwhile.
	find /sys/fs/cgroup -type d -name "$1" -exec sh -c 'cat "$0/memory.limit_in_bytes" "$0/memory.max" 2>/dev/null' {} \; 2>/dev/null || :
}

test_from_outside() {
	local from address limit
	submit_counter --dataVolume '[size=1]:/data'
	from=$(host) address=$(info hostAddress) limit=$(memory_limit_of "$from")
	assert_equal $((4 << 30)) "$limit" "memory limit of a c5.large"
	migrate c5.2xlarge
	[[ $(host) != "$from" ]] || fail "it is on the same host"
	[[ $(info hostAddress) != "$address" ]] || fail "the new host has the old address"
	[[ ! -e $MOUNT/hosts/$from ]] || wait_for 20 test ! -e "$MOUNT/hosts/$from" || fail "the old host is still there"
	assert_equal c5.2xlarge "$(info instance)" instance
	assert_equal 8 "$(info cpus)" cpus
	assert_equal 16 "$(info memoryGiB)" memory
	assert_equal c5.2xlarge "$(<"$dir/migrate")" "what migrate shows"
	assert_equal 1 "$(info migrations)" migrations
	limit=$(memory_limit_of "$(host)")
	((limit > 4 << 30 && limit <= 16 << 30)) || fail "memory limit of a c5.2xlarge here: $limit"
	[[ $(info freeze_us) -gt 0 ]] || fail "no freeze time"
	echo "signal TERM" >"$dir/ctl"
	wait_end
	assert_equal 0 "$code" "exit code"
	assert_equal $'of the first host\nof the first host' "$(tail -n 2 "$dir/output")" "the files"
	grep -E '^[0-9]+$' "$dir/output" >"$DIR/numbers"
	seq "$(wc -l <"$DIR/numbers")" | cmp - "$DIR/numbers" || fail "there is a hole in the output"
}

test_to_the_same_type_and_by_size() {
	submit_counter
	migrate c5.large
	assert_equal c5.large "$(info instance)" instance
	migrate 'cpu=8 mem=16'
	(($(info cpus) >= 8 && $(info memoryGiB) >= 16)) || fail "it has $(info cpus) CPUs and $(info memoryGiB) GiB"
	assert_equal 'cpu=8 mem=16' "$(<"$dir/migrate")" "what migrate shows"
	migrate 'mem=4 cpu=2'
	assert_equal 3 "$(info migrations)" migrations
}

from_inside() { # SHELL COMMAND: the job runs the command and then prints on
	submit <<-END
		#!/bin/$1
		echo started
		$2
		echo "answered \$?"
		while [ ! -e /stop ]; do echo on; sleep 0.1; done
	END
	wait_line "$dir/output" started
	local from
	from=$(host)
	wait_moved "$from"
	assert_equal c5.2xlarge "$(info instance)" instance
	wait_line "$dir/output" 'answered 0'
	wait_line "$dir/output" on
}

test_from_inside_by_bash() {
	from_inside bash 'sleep 0.3; echo c5.2xlarge >/float/jobs/self/migrate'
}

test_from_inside_by_dash() {
	from_inside dash 'sleep 0.3; echo c5.2xlarge >/float/jobs/$FLOAT_JOB_ID/migrate'
}

test_from_inside_by_float() {
	from_inside bash 'sleep 0.3; /opt/memverge/bin/float migrate -f --instType c5.2xlarge --sync'
	grep -qE "^$job on i-[0-9a-f]+ is now migrating, please use squeue/show to monitor migration progress. Check logs for details$" \
		"$dir/output" || fail "float did not say what it does: $(head "$dir/output")"
}

test_from_inside_refused() {
	submit <<-'END'
		#!/bin/bash
		{ echo c5.gigantic >/float/jobs/self/migrate; } 2>&1
		echo "exit $?"
		cat /float/jobs/self/error
		/opt/memverge/bin/float migrate --instType c5.gigantic 2>&1
		echo "exit $?"
	END
	wait_end
	assert_match "*Invalid argument*exit 1*c5.gigantic*Error: *c5.gigantic*exit 1" "$(<"$dir/output")" "what the job was told"
}

test_refused() {
	local from count
	submit_counter
	from=$(host)
	assert_refused EINVAL "$dir/migrate" c5.gigantic '*c5.gigantic*'
	assert_refused EINVAL "$dir/migrate" 'cpu=many mem=2'
	assert_refused EINVAL "$dir/migrate" 'cpu=10000 mem=2'
	assert_refused EINVAL "$dir/migrate" ''
	assert_equal "$from" "$(host)" host
	status_is Executing || fail "it is $(<"$dir/status")"
	count=$(wc -l <"$dir/output")
	sleep 0.5
	(($(wc -l <"$dir/output") > count)) || fail "the job does not go on"
}

test_while_migrating() {
	local from
	submit_counter
	from=$(host)
	echo c5.2xlarge >"$dir/migrate"
	echo c5.2xlarge >"$dir/migrate" || fail "the same target again was refused"
	assert_refused EBUSY "$dir/migrate" c5.xlarge
	assert_equal Floating "$(<"$dir/status")" status
	wait_moved "$from"
	assert_equal c5.2xlarge "$(info instance)" instance
	assert_equal 1 "$(info migrations)" migrations
}

test_too_small_for_its_memory() {
	local from
	submit <<-'END'
		#!/bin/bash
		dd if=/dev/zero bs=1300M count=1 status=none > >(exec sleep 1000) &
		until grep -qE '^VmRSS:\s+[0-9]{7,} kB' /proc/$!/status; do sleep 0.1; done
		echo holds it
		wait
	END
	wait_line "$dir/output" 'holds it'
	from=$(host)
	assert_refused ENOMEM "$dir/migrate" t3.micro
	assert_equal "$from" "$(host)" host
	status_is Executing || fail "it is $(<"$dir/status")"
}

test_cancel_while_migrating() {
	submit_counter
	echo c5.2xlarge >"$dir/migrate"
	echo cancel >"$dir/ctl"
	assert_match 'Cancel*' "$(<"$dir/status")" "status at once"
	wait_status Cancelled
	wait_for 20 no_host_is_left || fail "a host is left: $(ls "$MOUNT/hosts")"
}
