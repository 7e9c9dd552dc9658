# shellcheck shell=bash
# jobs/ID/files: what an ended job left on its volumes, read through a host that is brought up for it.
timeout=240

setup() {
	start_daemon
	make_root "$DIR/root" find truncate mkfifo
	"$SHIM" image add small "$DIR/root"
	rm -rf "$DIR/root"
	stop_daemon
}

# What can be compared of all that is in some directories: a line for each, in the order of names.
manifest() { # DIRECTORY...
	# A directory's size and number of links are the file system's own matter.
	find "$@" \( -type d -printf '%p %y %m %U %G %T@\0' -o -printf '%p %y %m %U %G %s %n %T@ %l\0' \) | LC_ALL=C sort -z
}

# A job that leaves one of everything on its volumes, and what it saw of that in its log.
submit_writer() {
	submit --dataVolume '[size=2]:/data' --dataVolume '[size=1]:/mnt/deep/er' <<-END
		#!/bin/bash
		set -e
		$(declare -f manifest)
		cd /data
		mkdir -p sub/dir results many 'dir'\$'\xff'
		echo result >results/result
		echo inside >sub/dir/file
		ln results/result hard
		ln -s results/result symbolic
		ln -s /etc/passwd absolute
		ln -s ../../../../../../etc/shadow climbing
		ln -s \$'\xfe' 'link \xfe'
		: >empty
		touch \$'odd \xff\xfe name' \$'new\nline' 'back\slash' '\xff' 'ümläut' "\$(printf 'n%.0s' {1..255})"
		echo deep >\$'dir\xff/in'
		mkfifo fifo
		truncate -s 1G sparse
		printf middle | dd of=sparse bs=1 seek=600000000 conv=notrunc status=none
		chmod 4751 empty
		chmod 0 hard
		touch -d 2001-02-03T04:05:06.123456789 results/result
		touch -d 1969-01-02 sub
		touch -d 2101-01-02 results
		for ((i = 0; i < 5000; i++)); do : >"many/file-\$i"; done
		dd if=/dev/urandom of=big bs=1M count=200 status=none
		sha256sum <big >"\$1/big.sum"
		echo under >/mnt/deep/er/there
		echo tmp >/tmp/left
		mkdir -p /srv/own
		echo new >/srv/own/file
		echo changed >>/etc/passwd
		rm /etc/group
		cd /
		manifest data mnt/deep/er tmp srv/own >"\$1/manifest"
	END
}

# The same without what a reader cannot see from outside.
assert_same_files() { # DIRECTORY
	(cd "$1" && manifest data mnt/deep/er tmp srv/own) >"$DIR/manifest"
	cmp "$DIR/manifest" "$dir/log/manifest" || {
		diff <(tr '\0' '\n' <"$dir/log/manifest") <(tr '\0' '\n' <"$DIR/manifest") | head -n 20
		fail "what is in $1 is not what the job saw"
	}
}

assert_big() { # FILE
	assert_equal "$(<"$dir/log/big.sum")" "$(sha256sum <"$1")" "sum of $1"
}

submit_small() { # a job that leaves a few files, and ends with that exit code
	submit --dataVolume '[size=1]:/data' <<-END
		#!/bin/bash
		mkdir /data/sub
		for i in {1..50}; do echo "\$i" >"/data/sub/\$i"; done
		echo kept >/data/result
		exit ${1:-0}
	END
}

hosts_up() {
	ls "$MOUNT/hosts"
}

assert_hosts() { # NUMBER
	assert_equal "$1" "$(hosts_up | wc -l)" hosts
}

one_host_is_up() {
	[[ $(hosts_up | wc -l) == 1 && $(<"$MOUNT/hosts/$(hosts_up)/status") == running ]]
}

first_process() { # of the host that is up
	init_of "$(hosts_up)" | grep .
}

agent() { # of the host that is up
	local init child
	init=$(first_process)
	for child in $(<"/proc/$init/task/$init/children"); do
		[[ $(tr '\0' ' ' <"/proc/$child/cmdline") != *'float-agent ' ]] || echo "$child"
	done | grep .
}

is_no_process() { # PID
	! kill -0 "$1" 2>/dev/null
}

test_every_kind_of_file() {
	local said
	start_daemon files_idle=60
	submit_writer
	wait_end 100
	assert_equal 0 "$code" "exit code: $(<"$dir/stderr.autosave")"
	assert_hosts 0
	assert_same_files "$dir/files"
	assert_equal Completed "$(<"$dir/status")" status
	assert_hosts 1
	assert_equal t3.nano "$(<"$MOUNT/hosts/$(hosts_up)/instance")" instance
	assert_equal "../../jobs/$job" "$(readlink "$MOUNT/hosts/$(hosts_up)/job")" "the host's job"
	assert_big "$dir/files/data/big"
	assert_equal deep "$(<"$dir/files/data/dir"$'\xff/in')" "a name that is no UTF-8"
	assert_equal $'\xfe' "$(readlink "$dir/files/data/link \\xfe")" "a link that is no UTF-8"
	assert_equal new "$(<"$dir/files/srv/own/file")" "a file of the job's root"
	assert_equal changed "$(tail -n 1 "$dir/files/etc/passwd")" "a file of the image that the job changed"
	[[ ! -e $dir/files/etc/group ]] || fail "what the job deleted of its image is there"
	[[ ! -e $dir/files/bin ]] || fail "the image is there"
	assert_equal 5000 "$(find "$dir/files/data/many" -name 'file-*' | wc -l)" "files in a directory"
	assert_equal $'inside\n' "$(cd "$dir/files/data" && find . -type f -newermt 2000-01-01 -path './sub/*' -exec cat {} \;)"$'\n' "find -newer"
	if said=$(ls "$dir/files/data/nothing" 2>&1); then fail "a file that is not there was found"; fi
	assert_match '*No such file*' "$said" "errno of a file that is not there"

	cp -a "$dir/files" "$DIR/copy"
	assert_same_files "$DIR/copy"
	assert_big "$DIR/copy/data/big"
	(($(stat -c %b "$DIR/copy/data/sparse") < 1000)) || fail "cp filled the holes"
	cmp "$dir/files/data/sparse" "$DIR/copy/data/sparse"
	mkdir "$DIR/there"
	tar -C "$dir/files" --sparse --format=posix -cf - . | tar -C "$DIR/there" -xpf - 2>/dev/null
	assert_same_files "$DIR/there"
	assert_big "$DIR/there/data/big"
	rm -rf "$DIR/copy" "$DIR/there"
	assert_hosts 1

	for said in "touch $dir/files/new" "mkdir $dir/files/data/new" "rm $dir/files/data/empty" "rmdir $dir/files/tmp" \
		"chmod 600 $dir/files/data/empty" "truncate -s 0 $dir/files/data/empty"; do
		if $said 2>"$DIR/said"; then fail "accepted: $said"; fi
		grep -q 'Read-only file system' "$DIR/said" || fail "$said: $(<"$DIR/said")"
	done
	assert_equal 1 "$(grep -c 'Created new host' <(sed '1,/Job ended/d' "$dir/job.events"))" "hosts made to read"
	forget_jobs
	stop_daemon
}

test_the_host_goes_when_nobody_reads() {
	start_daemon files_idle=1
	submit_small
	wait_end
	local cost
	cost=$(info costUSD)
	assert_equal kept "$(<"$dir/files/data/result")" "a file"
	one_host_is_up || fail "hosts: $(hosts_up)"
	wait_for 10 no_host_is_left || fail "the host stays"
	tail -n 3 "$dir/job.events"
	assert_match '*Ready to create new host to read files*Created new host*Reclaimed host*' "$(tail -n 3 "$dir/job.events")" events
	assert_equal kept "$(<"$dir/files/data/result")" "a file that the kernel keeps"
	no_host_is_left || fail "for what the kernel keeps a host was brought up"
	assert_equal 50 "$(cat "$dir/files/data/sub/"* | wc -l)" "what was not read yet"
	assert_equal Completed "$(<"$dir/status")" status
	stop_daemon
	[[ -z $(hosts_processes) ]] || fail "a host outlived floatfs"
	start_daemon files_idle=1
	no_host_is_left || fail "the record has it still"
	assert_equal 50 "$(cat "$dir/files/data/sub/"* | wc -l)" "after a restart"
	forget_jobs
	stop_daemon
}

test_jobs_that_did_not_complete() {
	start_daemon files_idle=60
	submit_small 3
	wait_end
	assert_equal 3 "$code" "exit code"
	assert_equal kept "$(<"$dir/files/data/result")" "a failed job's file"
	submit --dataVolume '[size=1]:/data' <<<$'#!/bin/sh\necho x >/data/x\necho up\nsleep 100'
	wait_line "$dir/output" up
	echo cancel >"$dir/ctl"
	wait_end
	wait_status Cancelled
	assert_equal x "$(<"$dir/files/data/x")" "a cancelled job's file"
	assert_hosts 2
	submit <<<$'#!/no/such/interpreter\n'
	wait_end
	wait_status FailToExecute
	assert_equal '' "$(ls "$dir/files")" "files of a job that never had volumes"
	assert_hosts 2
	forget_jobs
	stop_daemon
}

test_jobs_that_have_not_ended() {
	local said
	start_daemon
	mkdir "$MOUNT/jobs/draft"
	assert_equal '' "$(ls "$MOUNT/jobs/draft/files")" "a draft's files"
	rm -r "$MOUNT/jobs/draft"
	submit <<<$'#!/bin/sh\necho up\nsleep 2'
	wait_line "$dir/output" up
	[[ -d $dir/files ]] || fail "there is no files"
	for said in "ls $dir/files" "stat $dir/files/data"; do
		# shellcheck disable=SC2086 # words
		if timeout 2 $said 2>"$DIR/said"; then fail "accepted: $said"; fi
		grep -q 'Operation not supported' "$DIR/said" || fail "$said: $(<"$DIR/said")"
		assert_match '*when it has ended*Executing*' "$(<"$dir/error")" error
	done
	wait_end
	ls "$dir/files" >/dev/null
	forget_jobs
	stop_daemon
}

note_hosts() {
	while sleep 0.01; do
		hosts_up
	done >"$DIR/hosts-seen"
}

# No tool that removes a job brings a host up for it.
test_removing_a_job() {
	local how pid
	start_daemon
	for how in 'rm -r' 'rm -rf' 'busybox rm -r' 'find %s -delete' 'python3 -c "import shutil,sys; shutil.rmtree(sys.argv[1])"'; do
		type -P "${how%% *}" >/dev/null || continue
		submit_small
		wait_end
		note_hosts &
		pid=$!
		[[ $how == *%s* ]] || how+=' %s'
		# shellcheck disable=SC2059 # it is a format
		timeout 10 bash -c "$(printf "$how" "$dir")" || fail "$how failed"
		[[ ! -e $dir ]] || fail "the job is there after $how"
		kill "$pid"
		assert_equal '' "$(<"$DIR/hosts-seen")" "hosts that $how brought up"
	done
	submit_small
	wait_end
	assert_equal kept "$(<"$dir/files/data/result")" "a file"
	one_host_is_up || fail "hosts: $(hosts_up)"
	rmdir "$dir"
	no_host_is_left || fail "the host outlived its job"
	assert_equal '' "$(ls "$STATE/jobs")" "what is kept of the job"
	stop_daemon
}

test_floatfs_killed() {
	local ms pid
	start_daemon files_idle=60
	submit_small
	wait_end
	for ms in 0 40 80 130 200 300 1000; do
		# What it asked waits, and a host of the next floatfs answers.
		ls -l "$dir/files/data/sub" >"$DIR/listed" &
		pid=$!
		sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
		kill_and_start files_idle=60
		assert_equal Completed "$(<"$dir/status")" "status after $ms ms"
		wait "$pid" || fail "$ms ms: ls failed"
		assert_equal 51 "$(wc -l <"$DIR/listed")" "lines of ls over a kill after $ms ms"
		assert_equal 50 "$(cat "$dir/files/data/sub/"* | wc -l)" "files after $ms ms"
		assert_hosts 1
	done
	# Nobody asks: the host of the floatfs that was killed is given back.
	kill_and_start files_idle=60
	wait_for 20 no_host_is_left || fail "a host is left: $(hosts_up)"
	[[ -z $(hosts_processes) ]] || fail "a host that nobody knows is left"
	forget_jobs
	stop_daemon
}

test_parked_readers() {
	local agent began i readers=()
	start_daemon files_idle=60
	submit_small
	wait_end
	ls "$dir/files/data" >/dev/null
	agent=$(agent)
	kill -STOP "$agent"
	began=$SECONDS
	if timeout -s INT -k 8 0.5 ls "$dir/files/data/sub" >/dev/null; then fail "it was not parked"; fi
	((SECONDS - began < 4)) || fail "ls did not end by SIGINT"
	if timeout -s KILL 0.5 cat "$dir/files/data/sub/1" >/dev/null; then fail "it was not parked"; fi
	((SECONDS - began < 6)) || fail "cat did not end by SIGKILL"
	for ((i = 0; i < 80; i++)); do
		timeout 20 cat "$dir/files/data/result" >"$DIR/read-$i" &
		readers+=("$!")
	done
	sleep 0.3
	for ((i = 0; i < 10; i++)); do
		timeout 2 cat "$dir/status" >/dev/null || fail "parked readers keep others from the tree"
	done
	kill -CONT "$agent"
	wait "${readers[@]}" || fail "a parked reader got nothing"
	for ((i = 0; i < 80; i++)); do
		assert_equal kept "$(<"$DIR/read-$i")" "what a parked reader got"
	done
	assert_equal 50 "$(cat "$dir/files/data/sub/"* | wc -l)" files
	forget_jobs
	stop_daemon
}

test_host_destroyed_under_a_reader() {
	local before agent i
	start_daemon files_idle=60
	submit_small
	wait_end
	for i in 10 20 30; do
		assert_equal "$i" "$(<"$dir/files/data/sub/$i")" "a file"
		before=$(hosts_up)
		agent=$(agent)
		kill -KILL "$(first_process)"
		wait_for 5 is_no_process "$agent" || fail "its agent did not end"
		assert_equal "$((i + 1))" "$(timeout 40 cat "$dir/files/data/sub/$((i + 1))")" "a file after its host was killed"
		[[ $(hosts_up) != "$before" ]] || fail "it is the same host"
		assert_hosts 1
	done
	grep -c 'does not answer' "$dir/job.events"
	forget_jobs
	stop_daemon
}

# Started again it finds what it had open; or another host takes its place.
test_agent_killed() {
	local i
	start_daemon files_idle=60
	submit_small
	wait_end
	for i in 10 20 30; do
		assert_equal "$i" "$(<"$dir/files/data/sub/$i")" "a file"
		kill -KILL "$(agent)"
		[[ $i != 20 ]] || sleep 0.5
		assert_equal "$((i + 1))" "$(timeout 40 cat "$dir/files/data/sub/$((i + 1))")" "a file after the agent was killed"
		assert_hosts 1
	done
	cat "$dir/job.events"
	forget_jobs
	stop_daemon
}

test_two_readers() {
	local pid
	start_daemon files_idle=60
	submit_writer
	wait_end 100
	assert_big "$dir/files/data/big" &
	pid=$!
	assert_same_files "$dir/files"
	assert_big "$dir/files/data/big"
	wait "$pid"
	assert_hosts 1
	forget_jobs
	stop_daemon
}

test_another_users_job() {
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups) other=(setpriv --reuid=65533 --regid=65533 --clear-groups)
	start_daemon files_idle=60
	"${nobody[@]}" mkdir "$MOUNT/jobs/own"
	dir=$MOUNT/jobs/own
	printf '#!/bin/sh\necho own >/tmp/file\nchmod 600 /tmp/file\n' | "${nobody[@]}" tee "$dir/script" >/dev/null
	echo small | "${nobody[@]}" tee "$dir/image" >/dev/null
	echo c5.large | "${nobody[@]}" tee "$dir/instance" >/dev/null
	echo start | "${nobody[@]}" tee "$dir/ctl" >/dev/null
	wait_end
	assert_equal own "$("${nobody[@]}" cat "$dir/files/tmp/file")" "the owner's read"
	assert_equal 65534 "$(stat -c %u "$dir/files/tmp/file")" "the file's owner"
	assert_equal own "$(<"$dir/files/tmp/file")" "root's read"
	if "${other[@]}" cat "$dir/files/tmp/file" 2>/dev/null; then fail "another user read it"; fi
	if "${other[@]}" ls "$dir/files" 2>/dev/null; then fail "another user listed it"; fi
	forget_jobs
	stop_daemon
}

test_no_host_comes_up() {
	local said
	start_daemon files_idle=60
	submit_small
	wait_end
	# A volume that cannot be read: its superblocks are gone.
	find "$STATE/local/volumes" -name '*.img' -exec truncate -s 0 {} \; -exec truncate -s 2G {} \;
	if said=$(timeout 60 ls "$dir/files" 2>&1); then fail "a volume that is lost was listed"; fi
	echo "$said"
	[[ $(<"$dir/error") == *' '*' '* ]] || fail "no sentence in error: $(<"$dir/error")"
	wait_event 'Files cannot be read: '
	wait_for 10 no_host_is_left || fail "a host is left"
	assert_equal Completed "$(<"$dir/status")" status
	forget_jobs
	stop_daemon
}
