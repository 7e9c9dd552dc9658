# shellcheck shell=bash
# floatfs killed, or made to start anew, under clients that have files open: the mount lives on (fs/holder.h), and they
# notice nothing.
timeout=240

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

submit_counter() {
	submit <<-'END'
		#!/bin/bash
		trap 'echo "$n" >"$1/count"; exit 5' TERM
		trap 'echo USR1 >>"$1/signals"' USR1
		n=0
		while :; do
			echo "$((n += 1))"
			sleep 0.01
		done
	END
	wait_line "$dir/output" 5
}

# By SIGHUP it stays the same process.
restart_daemon() {
	local before after
	before=$(starts)
	kill -HUP "$(<"$DIR/daemon.pid")"
	wait_for 20 has_started_again "$before" || fail "floatfs did not start anew"
	after=$(<"$DIR/daemon.pid")
	kill -0 "$after" || fail "floatfs is another process now"
	is_served || fail "floatfs does not serve"
}

starts() {
	grep -c ' is taken over$' "$DAEMON_LOG" || true
}

has_started_again() { # STARTS-BEFORE
	(($(starts) > $1))
}

# What people leave open on a job: each writes what it saw to a file of its own.
start_clients() {
	clients=()
	rm -f "$DIR/polling"
	tail -n +1 -s 0.1 -f "$dir/output" >"$DIR/tail-f" 2>"$DIR/tail-f.said" &
	clients+=("$!")
	tail -n +1 -s 0.1 -F "$dir/output" >"$DIR/tail-F" 2>"$DIR/tail-F.said" &
	clients+=("$!")
	tail -c +1 -s 0.1 -f "$dir/job.events" >"$DIR/tail-events" 2>&1 &
	clients+=("$!")
	cat "$dir/wait" >"$DIR/waited" &
	waiter=$!
	python3 - "$dir" "$DIR/polling" >"$DIR/polled" 2>&1 <<-'END' &
		import os, select, sys
		status = os.open(sys.argv[1] + "/status", os.O_RDONLY)
		info = os.open(sys.argv[1] + "/info", os.O_RDONLY)
		os.read(status, 100), os.read(info, 65536)
		poll = select.epoll()
		poll.register(status, select.EPOLLPRI)
		poll.register(info, select.EPOLLPRI)
		open(sys.argv[2], "w").close()
		while True:
		    for fd, events in poll.poll():
		        os.lseek(fd, 0, 0)
		        text = os.read(fd, 65536).decode()
		        print(text.split("\n")[0] if fd == status else "info", flush=True)
	END
	clients+=("$!")
	python3 - "$dir/output" >"$DIR/sampled" 2>&1 <<-'END' &
		import os, sys, time
		fd = os.open(sys.argv[1], os.O_RDONLY)
		before, inode = 0, os.stat(sys.argv[1]).st_ino
		while True:
		    by_fd, by_name = os.fstat(fd), os.stat(sys.argv[1])
		    if by_name.st_size < before or by_fd.st_size < before:
		        print("fell from", before, "to", by_fd.st_size, by_name.st_size, flush=True)
		    if {by_fd.st_ino, by_name.st_ino} != {inode}:
		        print("another inode:", by_fd.st_ino, by_name.st_ino, flush=True)
		    before = by_name.st_size
		    time.sleep(0.02)
	END
	clients+=("$!")
	exec {reader}<"$dir/output"
	read -r -u "$reader" first
	wait_for 10 test -e "$DIR/polling" || fail "nobody polls: $(cat "$DIR/polled")"
}

assert_woken() { # TIMES AT LEAST
	wait_for 10 was_woken "$1" || fail "who polls was not woken $1 times: $(cat "$DIR/polled")"
}

was_woken() {
	(($(sed '/^info$/d' "$DIR/polled" | wc -l) >= $1 && $(sed '/^info$/!d' "$DIR/polled" | wc -l) >= $1))
}

# Ends the job: everybody has got everything once.
check_clients() {
	local pid n
	for pid in "${clients[@]}" "$waiter"; do
		kill -0 "$pid" || fail "a client ended: $(cat "$DIR"/tail-*.said "$DIR/polled" "$DIR/sampled")"
	done
	echo "signal TERM" >"$dir/ctl"
	wait "$waiter" || fail "the parked read of wait failed"
	assert_equal 5 "$(<"$DIR/waited")" "what wait said"
	n=$(<"$dir/log/count")
	cmp <(seq "$n") <(head -n "$n" "$dir/output") || fail "there is a hole in the output"
	wait_for 10 cmp -s "$dir/output" "$DIR/tail-f" || fail "tail -f has not every line once: $(wc -l <"$DIR/tail-f")"
	wait_for 10 cmp -s "$dir/output" "$DIR/tail-F" || fail "tail -F has not every line once: $(wc -l <"$DIR/tail-F")"
	wait_for 10 cmp -s "$dir/job.events" "$DIR/tail-events" || fail "tail -f of job.events has not every line once"
	cmp <(echo "$first"; cat <&"$reader") "$dir/output" || fail "a file that was open before is another now"
	exec {reader}<&-
	wait_for 10 grep -qx FailToComplete "$DIR/polled" || fail "poll did not tell of the end: $(cat "$DIR/polled")"
	kill "${clients[@]}"
	wait "${clients[@]}" 2>/dev/null || true
	for n in tail-f.said tail-F.said sampled; do
		[[ ! -s $DIR/$n ]] || fail "$n: $(cat "$DIR/$n")"
	done
	echo "$(wc -l <"$dir/output") lines"
}

test_killed_under_clients() {
	local i
	start_daemon
	submit_counter
	start_clients
	for i in 1 2 3; do
		sleep 0.3
		kill_daemon
		sleep "0.$i"
		start_daemon
		wait_status Executing 20
		assert_woken "$i"
	done
	migrate c5.2xlarge
	kill_and_start
	check_clients
	forget_jobs
	stop_daemon
}

test_started_anew_ten_times() {
	local i pid
	start_daemon
	pid=$(<"$DIR/daemon.pid")
	submit_counter
	start_clients
	for ((i = 0; i < 10; i++)); do
		restart_daemon
		wait_status Executing 20
	done
	# All at once: some are one.
	for ((i = 0; i < 10; i++)); do
		kill -HUP "$pid"
		sleep 0.02
	done
	wait_for 20 is_served || fail "floatfs does not serve"
	wait_status Executing 20
	assert_woken 3
	check_clients
	assert_equal 1 "$(holders | wc -l)" "holders of one mount"
	forget_jobs
	# Whichever it sees first.
	kill -HUP "$pid"
	kill -TERM "$pid"
	wait_for 20 daemon_is_gone || fail "floatfs did not end on SIGTERM"
	if is_mounted; then fail "it is still mounted"; fi
	assert_equal "" "$(holders)" "holders that are left"
	[[ ! -e $STATE/holder ]] || fail "the socket is left"
}

test_started_anew_in_the_background() {
	local pid
	(cd "$DIR" && "$B/floatfs" -o "$(daemon_options)" float)
	pid=$(daemons_processes | grep -vxF "$(holders)")
	echo "$pid" >"$DIR/daemon.pid"
	mkdir "$MOUNT/jobs/before"
	: >"$DIR/checked"
	DAEMON_LOG=$STATE/log restart_daemon
	assert_equal before "$(ls "$MOUNT/jobs")" jobs
	rmdir "$MOUNT/jobs/before"
	stop_daemon
	DAEMON_LOG=$STATE/log check_logs || fail "something is wrong in its log"
}

# A listing goes on where it was: what was there all the time is seen once.
test_open_directory() {
	local i names=("$MOUNT"/jobs/a-long-name-so-that-a-page-does-not-hold-many-of-them-{0001..1200})
	start_daemon
	mkdir "${names[@]}"
	mkfifo "$DIR/go-on"
	python3 - "$MOUNT/jobs" "$DIR/go-on" >"$DIR/listed" <<-'END' &
		import os, sys
		with os.scandir(sys.argv[1]) as names:
		    print(next(names).name, flush=True)
		    open(sys.argv[2]).read()
		    for name in names:
		        print(name.name)
	END
	i=$!
	wait_for 10 test -s "$DIR/listed"
	kill_and_start
	mkdir "$MOUNT/jobs/new"
	rmdir "${names[10]}" "${names[1100]}"
	: >"$DIR/go-on"
	wait "$i" || fail "the listing failed"
	assert_equal "" "$(sort "$DIR/listed" | uniq -d)" "names that were seen twice"
	for i in {1,10,500,1199}; do
		has_line "$DIR/listed" "$(basename "${names[i - 1]}")" || fail "${names[i - 1]} was not seen"
	done
	(($(grep -c a-long-name "$DIR/listed") >= 1198)) || fail "$(wc -l <"$DIR/listed") names"
	rmdir "$MOUNT"/jobs/*
	stop_daemon
}

# The kernel reads it past floatfs, but not while somebody reads it in another way (fs/fuse_through.h).
test_large_output_of_an_ended_job() {
	local live first second mapper
	seq 500000 >"$DIR/expected"
	start_daemon
	submit <<<$'#!/bin/sh\nseq 500000'
	wait_end
	is_read_at_once || fail "it is read by way of floatfs"
	submit <<-'END'
		#!/bin/sh
		seq 500000
		echo up >&2
		exec sleep 1000
	END
	wait_line "$dir/stderr.autosave" up
	exec {live}<"$dir/output"
	python3 - "$dir/output" <<-'END' &
		import mmap, os, sys, time
		fd = os.open(sys.argv[1], os.O_RDONLY)
		mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
		assert mapped[:4] == b"1\n2\n"
		time.sleep(600)
	END
	mapper=$!
	sleep 1
	echo cancel >"$dir/ctl"
	wait_end
	cmp "$dir/output" "$DIR/expected"
	cmp - "$DIR/expected" <&"$live"
	kill $mapper
	wait $mapper || true
	exec {live}<&-
	wait_for 5 is_read_at_once
	exec {first}<"$dir/output"
	head -c 100000 <&"$first" >"$DIR/begin"
	kill_and_start
	cmp "$dir/output" "$DIR/expected"
	cat "$DIR/begin" - <&"$first" | cmp - "$DIR/expected"
	exec {second}<"$dir/output"
	exec {first}<&-
	cmp - "$DIR/expected" <&"$second"
	cmp "$dir/output" "$DIR/expected"
	exec {second}<&-
	is_read_at_once || fail "it is not read past floatfs any more"
}

# Its pages are not asked of floatfs: there is none that could answer. What is laid over another file system cannot be read so.
is_read_at_once() {
	local fd status=0
	[[ $(stat -f -c %T "$DIR") != overlayfs ]] || return 0
	exec {fd}<"$dir/output"
	kill -STOP "$(<"$DIR/daemon.pid")"
	timeout 2 cmp - "$DIR/expected" <&"$fd" || status=1
	kill -CONT "$(<"$DIR/daemon.pid")"
	exec {fd}<&-
	return $status
}

test_readers_that_are_killed() {
	local early late
	start_daemon
	submit <<<$'#!/bin/sh\nexec sleep 1000'
	wait_status Executing
	cat "$dir/wait" 2>/dev/null &
	early=$!
	cat "$dir/wait" 2>/dev/null &
	late=$!
	sleep 0.3
	kill_daemon
	# Its read is nobody's now: it ends when there is somebody again.
	kill -KILL "$early"
	start_daemon
	wait_for 10 is_no_process "$early" || fail "a reader that was killed while nobody served is there still"
	! is_no_process "$late" || fail "a parked reader ended"
	kill -TERM "$late"
	wait_for 10 is_no_process "$late" || fail "a reader cannot be interrupted after floatfs started again"
	forget_jobs
	stop_daemon
}

is_no_process() { # PID, or a zombie of ours
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ $stat == *") Z "* ]]
}

write() { # TEXT FILE
	echo "$1" >"$2"
}

# Begins it, kills floatfs so much later, and starts it again: it must succeed all the same.
over_a_kill() { # MS COMMAND...
	local ms=$1 pid
	shift
	"$@" &
	pid=$!
	sleep "$(printf '0.%03d' "$ms")"
	kill_daemon
	start_daemon debug
	wait "$pid" || fail "'$*' failed, when floatfs was killed after $ms ms: $(cat "$MOUNT/error" "$dir/error" 2>/dev/null)"
}

came_again() { # something at least: else nothing was tested. What it is, is a matter of milliseconds.
	grep -o "opcode .* comes again" "$DAEMON_LOG" | sed 's/,.*//' | sort | uniq -c
	grep -q "opcode .* comes again" "$DAEMON_LOG" || fail "nothing ever came again"
}

test_killed_in_a_control_of_a_draft() {
	local ms
	start_daemon debug
	for ms in 0 1 2 3 4 5 6 8 10 13 16 20; do
		dir=$MOUNT/jobs/draft-$ms
		over_a_kill $ms mkdir "$dir"
		write small "$dir/image"
		write c5.large "$dir/instance"
		over_a_kill $ms write $'#!/bin/sh\nexec sleep 1000' "$dir/script"
		over_a_kill $ms write start "$dir/ctl"
		wait_for 20 is_past_draft || fail "it was not started"
		over_a_kill $ms write cancel "$dir/ctl"
		wait_status Cancelled
		over_a_kill $ms rmdir "$dir"
		[[ ! -e $dir ]] || fail "it is there still"
	done
	came_again
	stop_daemon
}

is_past_draft() {
	! status_is Draft
}

test_killed_in_a_control_of_a_job() {
	local ms migrations=0 signals=0 snapshots=0 type=c5.large
	start_daemon debug
	submit_counter
	for ms in 0 2 4 6 9 12 16 25; do
		over_a_kill $ms write "signal USR1" "$dir/ctl"
		signals=$((signals + 1))
		wait_for 10 signals_are $signals || fail "$ms ms: not $signals signals: $(cat "$dir/log/signals")"
		if [[ $type == c5.large ]]; then type=c5.2xlarge; else type=c5.large; fi
		over_a_kill $ms write $type "$dir/migrate"
		wait_settled Executing
		migrations=$((migrations + 1))
		assert_equal "$type $migrations" "$(info instance) $(info migrations)" "instance and migrations after $ms ms"
		over_a_kill $ms write checkpoint "$dir/ctl"
		wait_settled Executing
		snapshots=$((snapshots + 1))
		assert_equal $snapshots "$(last_snapshot)" "number of the last snapshot after $ms ms"
		over_a_kill $ms write suspend "$dir/ctl"
		wait_settled Suspended
		over_a_kill $ms write resume "$dir/ctl"
		wait_settled Executing
	done
	sleep 0.5
	signals_are $signals || fail "a signal came twice: $(cat "$dir/log/signals")"
	came_again
	write "signal TERM" "$dir/ctl"
	wait_end
	assert_equal 5 "$code" "exit code"
	forget_jobs
	stop_daemon
}

test_killed_in_a_control_of_the_administrator() {
	local ms from image
	start_daemon debug
	make_root "$DIR/root"
	submit_counter
	for ms in 0 2 4 7 11 16; do
		image=$MOUNT/images/other-$ms
		over_a_kill $ms mkdir "$image"
		over_a_kill $ms write "import $DIR/root" "$image/ctl"
		wait_for 30 import_is_over "$image" || fail "the image is $(<"$image/status")"
		over_a_kill $ms rmdir "$image"
		[[ ! -e $image ]] || fail "the image is there still"
		over_a_kill $ms write hidden "$MOUNT/secrets/key-$ms"
		over_a_kill $ms rm "$MOUNT/secrets/key-$ms"
		[[ -z $(ls "$MOUNT/secrets") ]] || fail "a secret is there still"
		from=$(host)
		over_a_kill $ms write reclaim "$MOUNT/hosts/$from/ctl"
		wait_settled Executing
		[[ $(host) != "$from" ]] || fail "its host was not reclaimed"
	done
	assert_equal 6 "$(info migrations)" migrations
	came_again
	from=$(host)
	over_a_kill 3 write terminate "$MOUNT/hosts/$from/ctl"
	wait_for 20 test ! -e "$MOUNT/hosts/$from" || fail "the host is there still"
	rm -rf "$DIR/root"
	forget_jobs
	stop_daemon
}

import_is_over() { # IMAGE: where floatfs was killed while it was at work, that is said
	[[ $(<"$1/status") == ready || $(<"$1/status") == 'failed the import was cut off'* ]]
}

last_snapshot() {
	find "$dir/snapshots" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1
}

# A person's script that does everything a job can be told; it stops at the first error.
tell_everything() { # NAME
	local dir=$MOUNT/jobs/$1 i
	mkdir "$dir"
	echo small >"$dir/image"
	echo c5.large >"$dir/instance"
	cp "$DIR/counter" "$dir/script"
	echo 'a=1' >>"$dir/env"
	echo start >"$dir/ctl"
	wait_settled Executing
	wait_line "$dir/output" 3
	for i in 1 2 3 4 5; do
		echo "signal USR1" >"$dir/ctl"
		wait_for 10 signals_are "$i" || fail "$i signals were sent: $(cat "$dir/log/signals")"
	done
	echo c5.2xlarge >"$dir/migrate"
	wait_settled Executing
	assert_equal c5.2xlarge "$(info instance)" instance
	echo suspend >"$dir/ctl"
	wait_settled Suspended
	echo resume >"$dir/ctl"
	wait_settled Executing
	assert_equal 1 "$(info migrations)" migrations
	echo "signal TERM" >"$dir/ctl"
	assert_equal 5 "$(<"$dir/wait")" "exit code"
	signals_are 5 || fail "a signal came twice: $(cat "$dir/log/signals")"
	wait_for 20 no_host_is_left
	rmdir "$dir"
	mkdir "$dir"
	rmdir "$dir"
}

signals_are() { # NUMBER
	[[ -e $dir/log/signals && $(wc -l <"$dir/log/signals") == "$1" ]]
}

wait_settled() { # STATUS: and no operation is at work any more
	wait_for 60 is_settled "$1" || fail "it is $(<"$dir/status") with the hosts $(ls "$MOUNT/hosts")"
}

is_settled() {
	[[ $(<"$dir/status") == "$1" && $(ls "$MOUNT/hosts") == "$([[ $1 == Suspended ]] || host)" ]]
}

test_killed_while_controls_are_written() {
	local i kills=0 client
	start_daemon
	submit_counter # for its script alone
	cp "$dir/script" "$DIR/counter"
	forget_jobs
	for i in 1 2 3; do
		(set -eE && tell_everything "client-$i") &
		client=$!
		while ! is_no_process "$client"; do
			# Often in the middle of a step, but not always: each must come to its end some time.
			sleep "$((kills % 4 == 3 ? 2 : 0)).$((RANDOM % 5))$((RANDOM % 10))"
			kill_and_start
			kills=$((kills + 1))
		done
		wait "$client" || fail "the client of round $i saw an error after $kills kills"
	done
	echo "$kills kills"
	stop_daemon
}

nothing_is_held() {
	[[ -z $(holders) ]] && ! is_mounted
}

test_no_successor() {
	local parked follower began=$SECONDS
	start_daemon hold=4
	assert_equal 1 "$(holders | wc -l)" holders
	submit <<<$'#!/bin/sh\necho up\nexec sleep 1000'
	wait_line "$dir/output" up
	cat "$dir/wait" >"$DIR/parked" 2>&1 &
	parked=$!
	cat <"$dir/wait" >/dev/null 2>&1 &
	follower=$!
	sleep 0.3
	kill_daemon
	# It waits for as long as somebody may come, and is told then.
	if timeout 60 cat "$dir/status" 2>/dev/null; then fail "nobody serves, and yet it was read"; fi
	((SECONDS - began < 45)) || fail "that took $((SECONDS - began)) s"
	wait_for 10 is_no_process "$parked" || fail "a parked reader hangs"
	wait_for 10 is_no_process "$follower" || fail "a parked reader hangs"
	assert_match '*connection abort*' "$(<"$DIR/parked")" "what a parked reader was told"
	wait_for 10 nothing_is_held || fail "left: $(holders), $(grep "$MOUNT" /proc/self/mounts)"
	[[ ! -e $STATE/holder ]] || fail "the socket is left"
	start_daemon
	wait_status Executing 20
	forget_jobs
	stop_daemon
}

test_nothing_held() {
	start_daemon hold=0
	assert_equal "" "$(holders)" holders
	kill_daemon
	assert_match '*Transport endpoint*' "$(LC_ALL=C ls "$MOUNT" 2>&1)" "what ls says"
	start_daemon
	stop_daemon
}

test_unmounted_meanwhile() {
	start_daemon
	kill_daemon
	# Without -l umount(8) looks at the mount, and waits.
	umount -l "$MOUNT"
	wait_for 10 nothing_is_held || fail "the holder is left: $(holders)"
	start_daemon
	stop_daemon
}

test_another_mount_point() {
	start_daemon
	kill_daemon
	mkdir "$DIR/other"
	MOUNT=$DIR/other start_daemon
	if is_mounted; then fail "the old mount is left"; fi
	grep -q 'is not taken over: it is another mount point' "$DAEMON_LOG" || fail "the log does not say why"
	MOUNT=$DIR/other stop_daemon
}
