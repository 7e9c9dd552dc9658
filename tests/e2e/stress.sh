# shellcheck shell=bash
# Many clients at once, while jobs come, move and go. STRESS_SECONDS says for how long: 60 where it is meant (make stress).
timeout=$((${STRESS_SECONDS:-8} + 60))

setup() {
	start_daemon
	import_small_root
	"$SHIM" submit -i small -j <(printf '#!/bin/sh\nexec sleep 1000\n') --instType c5.large >/dev/null
}

come_and_go() { # until it is told to stop
	while [[ ! -e $DIR/stop ]]; do
		submit <<<$'#!/bin/sh\nfor i in 1 2 3 4 5; do echo $i; sleep 0.1; done'
		wait_end
		rmdir "$dir"
	done
}

descriptors() {
	find "/proc/$(<"$DIR/daemon.pid")/fd" -mindepth 1 2>/dev/null | wc -l
}

test_readers_and_writers() {
	local before comer
	before=$(descriptors)
	come_and_go >"$DIR/came" 2>&1 &
	comer=$!
	"$B/stress/clients" "$MOUNT" 64 "${STRESS_SECONDS:-8}" || fail "clients were harmed"
	touch "$DIR/stop"
	wait $comer || fail "jobs that came and went: $(tail -n 3 "$DIR/came")"
	forget_jobs
	wait_for 10 has_as_few_descriptors "$before" || fail "the daemon holds $(descriptors) descriptors, not $before"
}

has_as_few_descriptors() { # COUNT: connections that are kept are few
	(($(descriptors) <= $1 + 4))
}

test_two_hundred_polls() {
	local answer
	submit <<<$'#!/bin/sh\nfor i in 1 2 3 4 5; do sleep 0.4; echo $i; done'
	wait_status Executing
	wait_for 10 test -e "$dir/output"
	answer=$(python3 - "$dir/output" <<-'END'
		import os, select, sys
		handles = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(200)]
		epoll = select.epoll()
		for handle in handles:
		    epoll.register(handle, select.EPOLLIN)
		    os.read(handle, 65536)
		early, open_ones = 0, set(handles)
		at = lambda handle: os.lseek(handle, 0, os.SEEK_CUR)
		while any(at(handle) < 10 for handle in open_ones):  # five lines of two bytes
		    events = epoll.poll(10)
		    if not events:
		        sys.exit("a change was not told")
		    for handle, _ in events:
		        early += handle in open_ones and not os.read(handle, 65536)
		    for handle in handles[:50]:  # some are closed while they are polled
		        if handle in open_ones:
		            os.close(handle)
		            open_ones.discard(handle)
		print(early)
	END
	) || fail "polls: $answer"
	assert_equal 0 "$answer" "wakes without anything new"
	wait_end
}
