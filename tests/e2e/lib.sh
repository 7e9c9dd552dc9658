# shellcheck shell=bash
# What the tests of tests/e2e use. The worker sources it, then a test file.
#
# Each file has a daemon of its own: its directories are below $DIR, it is mounted on $MOUNT with its state in $STATE.
# A test is a function test_NAME; it fails when a command in it fails (errexit) or by `fail`.

SHIM=$B/float
top=${top:?}
daemon_by=()

# ---- directories and the daemon

make_directories() {
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/floatfs-test.XXXXXX")
	chmod 755 "$DIR"
	MOUNT=$DIR/float STATE=$DIR/state DAEMON_LOG=$DIR/daemon.log
	mkdir "$MOUNT"
	export MOUNT STATE DIR FLOAT_MOUNT=$MOUNT
	: >"$DAEMON_LOG"
	: >"$DIR/checked-log"
	# By names below $DIR, so that loop devices that are left tell whose they are.
	MACHINE=$DIR/machine.sqfs AGENT=$DIR/agent.sqfs
	ln "$B/machine.sqfs" "$MACHINE" 2>/dev/null || cp "$B/machine.sqfs" "$MACHINE"
	ln "$B/agent.sqfs" "$AGENT" 2>/dev/null || cp "$B/agent.sqfs" "$AGENT"
}

# The options that every daemon of this file gets, and more of them: cloud=local,state=…[,MORE]
daemon_options() {
	printf 'cloud=local,state=%s,machine=%s,agent=%s%s' "$STATE" "$MACHINE" "$AGENT" "${1:+,$1}"
}

start_daemon() { # [OPTION=VALUE,...]: in the foreground of a background process, its log in $DAEMON_LOG
	# Of one that was killed the mount waits for this one, and so would we.
	daemon_is_gone || ! is_served || fail "something is mounted there already"
	# In a session of its own: it outlives the test that started it. A file of tests may say what to start it with.
	setsid "${daemon_by[@]}" "$B/floatfs" -f -o "$(daemon_options "${1:-}")" "$MOUNT" >>"$DAEMON_LOG" 2>&1 </dev/null &
	echo "$!" >"$DIR/daemon.pid"
	wait_for 30 is_served_or_gone || fail "floatfs did not mount in 30 s"
	! daemon_is_gone || fail "floatfs ended: $(tail -n 3 "$DAEMON_LOG")"
}

is_served_or_gone() {
	is_served || daemon_is_gone
}

is_mounted() {
	grep -q " $MOUNT fuse" /proc/self/mounts
}

is_served() { # by a daemon that is alive, whatever the kernel keeps, and not only held (fs/holder.h)
	is_mounted && timeout 5 stat --cached=never "$MOUNT/jobs" >/dev/null 2>&1
}

daemon_is_gone() { # or a zombie, where process 1 is slow to reap what it inherited
	local state
	[[ -s $DIR/daemon.pid ]] || return 0
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(<"$DIR/daemon.pid")/status" 2>/dev/null) || :
	[[ -z $state || $state == Z ]]
}

stop_daemon() { # by umount
	timeout 20 umount "$MOUNT" || fail "umount failed"
	wait_for 30 daemon_is_gone || fail "floatfs is still there 30 s after the umount"
}

# ---- telling

fail() {
	printf 'FAILED: %s\n' "$*"
	printf '  at %s line %s\n' "${FUNCNAME[1]}" "${BASH_LINENO[0]}"
	exit 1
}

assert_equal() { # WANTED GOT WHAT
	[[ $1 == "$2" ]] || fail "$3: wanted '$1', got '$2'"
}

assert_match() { # PATTERN TEXT WHAT: a bash pattern
	# shellcheck disable=SC2053 # it is a pattern
	[[ $2 == $1 ]] || fail "$3: wanted '$1', got '$2'"
}

# Three times as long at most, for a machine that others keep busy too: how fast things are is make bench's matter.
wait_for() { # SECONDS COMMAND...: until it succeeds
	local deadline=$((${EPOCHREALTIME/./} + 3 * $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		sleep 0.05
	done
}

kill_daemon() {
	kill -KILL "$(<"$DIR/daemon.pid")"
	wait_for 20 daemon_is_gone || fail "floatfs cannot be killed"
}

kill_and_start() { # [OPTIONS OF start_daemon]
	kill_daemon
	start_daemon "$@"
}

assert_volumes() { # NUMBER: of all jobs
	assert_equal "$1" "$(find "$STATE/local/volumes" -name '*.img' | wc -l)" volumes
}

# A refused write: its errno, and a sentence for people in `error`.
assert_refused() { # ERRNO FILE TEXT [SENTENCE-PATTERN]
	local text message sentence file=$2
	case $1 in
	EINVAL) text='Invalid argument' ;;
	ENOENT) text='No such file or directory' ;;
	ENOMEM) text='Cannot allocate memory' ;;
	EBUSY) text='Device or resource busy' ;;
	EOPNOTSUPP) text='Operation not supported' ;;
	EACCES) text='Permission denied' ;;
	EDQUOT) text='Disk quota exceeded' ;;
	*) fail "no such errno: $1" ;;
	esac
	# bash's printf would write each line by itself.
	printf '%s\n' "$3" >"$DIR/command"
	if message=$(LC_ALL=C dd if="$DIR/command" of="$file" bs=64k conv=notrunc status=none 2>&1); then
		fail "'$3' was accepted by $file"
	fi
	assert_match "*$text*" "$message" "errno of '$3' to $file"
	sentence=$(<"$(dirname "$file")/error")
	[[ $sentence == *' '*' '* ]] || fail "no sentence in error after '$3' to $file: '$sentence'"
	[[ -z ${4:-} ]] || assert_match "$4" "$sentence" "sentence after '$3' to $file"
	echo "refused as it should be: $sentence"
}

below() { # PID: it and all that it has started, whatever groups they are in
	ps -eo pid=,ppid= | awk -v top="$1" '
		{ parent[$1] = $2 }
		END { for (pid in parent) { for (at = pid; at > 1 && at != top; at = parent[at]); if (at == top) print pid } }'
}

# ---- images

# A small root file system of this machine's own programs: importing it takes a moment, not half a minute.
make_root() { # DIRECTORY PROGRAM...
	local root=$1 program path
	shift
	mkdir -p "$root"/{bin,usr/bin,lib,lib64,etc,tmp,proc,sys,dev,root,var/log,run,home,opt}
	for program in bash dash sh env cat ls cp mv rm mkdir rmdir touch sleep date head tail wc tr seq stat df dd \
		readlink realpath id uname printf od sha256sum sync chmod ln grep sed sort mktemp basename dirname kill nproc timeout busybox "$@"; do
		path=$(command -v -- "$program") || path=$(type -P "$program") || continue
		[[ $path == /* ]] || path=$(type -P "$program")
		cp -L --remove-destination "$path" "$root/usr/bin/$program"
		copy_libraries "$root" "$path"
	done
	for program in bash sh dash cat sleep; do
		ln -sf ../usr/bin/$program "$root/bin/$program"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

copy_libraries() { # ROOT PROGRAM
	local library
	for library in $(ldd "$2" 2>/dev/null | grep -o '/[^ ]*'); do
		[[ ! -e $1$library ]] || continue
		mkdir -p "$1$(dirname "$library")"
		cp -L "$library" "$1$library"
	done
}

import_small_root() { # [NAME]: ready when it returns
	make_root "$DIR/root"
	"$SHIM" image add "${1:-small}" "$DIR/root"
	rm -rf "$DIR/root"
}

# ---- jobs

# Submits what stands on stdin as a job of the image `small` on a c5.large; sets $job and $dir. Not by $(…): a
# failure must end the test.
submit() { # [FLAGS OF float submit...]
	local answer script
	script=$(mktemp "$DIR/script.XXXXXX")
	cat >"$script"
	answer=$("$SHIM" submit -i "${image:-small}" -j "$script" --instType "${type:-c5.large}" "$@") || fail "submit was refused"
	rm "$script" # it was copied before submit returned
	job=$(sed -n 's/^id: //p' <<<"$answer")
	[[ $job =~ ^[A-Za-z0-9]{21}$ ]] || fail "submit did not print an id: $answer"
	dir=$MOUNT/jobs/$job
}

status_is() { # STATUS
	[[ $(<"$dir/status") == "$1" ]]
}

wait_status() { # STATUS [SECONDS]
	wait_for "${2:-30}" status_is "$1" || fail "job is $(<"$dir/status"), not $1; $(tail -n 2 "$dir/job.events")"
}

wait_end() { # [SECONDS]: $code is the exit code
	code=$(timeout "$((3 * ${1:-60}))" cat "$dir/wait") || fail "the job did not end: $(<"$dir/status")"
}

info() { # KEY
	sed -n "s/^$1 //p" "$dir/info"
}

host() { # of the job, by its symlink
	local target
	target=$(readlink "$dir/host") && basename "$target"
}

# For a job's script: fill DIRECTORY, until not a block is left.
# shellcheck disable=SC2034 # of the test files
fill_disk='fill() { for size in 4G 256M 16M 1M 64K 4K; do while fallocate -l $size "$1/$((n += 1))" 2>/dev/null; do :; done; done; }'

init_of() { # HOST: its first process
	sed -n 's/.*"init": *\([0-9]*\).*/\1/p' "$STATE/local/hosts/$1/running.json"
}

has_line() { # FILE LINE
	grep -qxF -- "$2" "$1"
}

wait_line() { # FILE LINE [SECONDS]
	wait_for "${3:-30}" has_line "$1" "$2" || fail "no line '$2' in $1; it ends with: $(tail -n 3 "$1")"
}

# Moves $dir's job and waits until it runs on another host.
is_on_another() { # HOST: it has none in between
	local now
	now=$(host) && [[ $now != none && $now != "$1" ]] && status_is Executing
}

migrate() { # TARGET
	local before
	before=$(host)
	printf '%s\n' "$1" >"$dir/migrate"
	wait_moved "$before"
}

has_moved() { # HOST: it is not there any more, and the move is over
	[[ $(<"$dir/status") != Floating && $(host) != "$1" ]]
}

wait_moved() { # FROM-HOST
	wait_for 60 has_moved "$1" || fail "the job is still on $1: $(<"$dir/status"), $(tail -n 3 "$dir/job.events")"
	echo "moved from $1 to $(host), frozen $(info freeze_us) us"
}

wait_event() { # PATTERN [SECONDS]: a basic regular expression, in job.events
	wait_for "${2:-30}" grep -q -- "$1" "$dir/job.events" || fail "no event '$1': $(cat "$dir/job.events")"
}

no_host_is_left() {
	[[ -z $(ls "$MOUNT/hosts") ]]
}

# ---- the logs

# A line of level error or warning in the daemon's log, or a host's, fails the test unless it says so beforehand.
expect_log() { # PATTERN: an extended regular expression
	printf '%s\n' "$1" >>"$DIR/expected-log"
}

host_logs() {
	find "$STATE" -xdev \( -name '*console*' -o -name '*.log' \) -type f -not -path '*/jobs/*' -not -path '*/upper/*' 2>/dev/null
}

# What was not yet looked at, of the daemon's log and the hosts' consoles.
check_logs() {
	local file known size bad=0 lines
	while read -r file; do
		known=$(sed -n "s|^\([0-9]*\) $file\$|\1|p" "$DIR/checked-log" | tail -n 1)
		size=$(stat -c %s "$file" 2>/dev/null) || continue
		printf '%s %s\n' "$size" "$file" >>"$DIR/checked-log"
		lines=$(tail -c "+$((${known:-0} + 1))" "$file" |
			grep -aE ': (error|warning): |^(error|warning): |runtime error: |ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer' || true)
		[[ ! -s $DIR/expected-log ]] || lines=$(grep -avE -f "$DIR/expected-log" <<<"$lines")
		if [[ -n $lines ]]; then
			printf 'not expected in %s:\n%s\n' "${file#"$DIR/"}" "$lines"
			bad=1
		fi
	done < <(echo "$DAEMON_LOG"; host_logs)
	return $bad
}

# ---- leaving nothing behind

note_state() { # what is worth seeing of a failed test's job
	local path
	is_served || return 0
	for path in "$MOUNT"/jobs/*; do
		[[ -d $path ]] || continue
		echo "job ${path##*/}: $(timeout 2 cat "$path/status")"
		timeout 2 tail -n 20 "$path/job.events"
		timeout 2 tail -n 5 "$path/stderr.autosave" 2>/dev/null
	done
}

forget_jobs() { # cancels and forgets every job; no host may be left then
	local dir path
	is_served || return 0
	for path in "$MOUNT"/jobs/*; do
		[[ ! -d $path ]] || { printf 'cancel\n' >"$path/ctl"; } 2>/dev/null || true
	done
	for dir in "$MOUNT"/jobs/*; do
		[[ ! -d $dir ]] || wait_for 30 rmdir "$dir" 2>/dev/null || {
			echo "job ${dir##*/} cannot be forgotten, it is $(<"$dir/status")"
			return 1
		}
	done
	wait_for 30 no_host_is_left || {
		echo "hosts are left: $(ls "$MOUNT/hosts")"
		return 1
	}
}

abort_fuse_connection() { # answers whatever hangs on the mount
	local device connections=/sys/fs/fuse/connections
	device=$(sed -n "s|^[0-9]* [0-9]* \([0-9:]*\) [^ ]* $MOUNT .*|\1|p" /proc/self/mountinfo | tail -n 1)
	[[ -n $device ]] || return 0
	if [[ ! -e $connections/${device#*:} ]]; then
		connections=$DIR/connections
		mkdir -p "$connections"
		mount -t fusectl fusectl "$connections" || return 0
	fi
	echo 1 >"$connections/${device#*:}/abort"
	[[ $connections != "$DIR"/* ]] || umount "$connections"
}

# The first processes of hosts: whatever a host's monitor, or a record of a host, says.
hosts_processes() {
	local pid record
	for pid in $(daemons_processes); do
		cat "/proc/$pid/task/$pid/children" 2>/dev/null
		echo
	done | tr ' ' '\n' | grep . || true
	while read -r record; do
		pid=$(sed -n 's/.*"init": *\([0-9]*\).*/\1/p' "$record")
		[[ $(cat "/proc/${pid:-none}/comm" 2>/dev/null) != float-init ]] || echo "$pid"
	done < <(find "$STATE" -xdev -name running.json 2>/dev/null)
}

# Those of daemons_processes that hold a mount for the next floatfs.
holders() {
	local pid
	for pid in $(daemons_processes); do
		[[ $(cat "/proc/$pid/comm" 2>/dev/null) != floatfs-holder ]] || echo "$pid"
	done
}

# Processes that have a path below $DIR in their arguments: floatfs, its holder, and the monitors of its hosts.
daemons_processes() {
	local other
	for other in /proc/[0-9]*; do
		[[ ${other#/proc/} != "$$" && ${other#/proc/} != "$BASHPID" ]] || continue
		grep -qaF "$DIR/" "$other/cmdline" 2>/dev/null || continue
		echo "${other#/proc/}"
	done
	return 0
}

loops() {
	losetup --list --noheadings --output NAME,BACK-FILE | sed -n "s|^\([^ ]*\) *$DIR/.*|\1|p"
}

mounts() { # the deepest first
	sed -n "s|^[^ ]* [^ ]* [^ ]* [^ ]* \($DIR/[^ ]*\) .*|\1|p" /proc/self/mountinfo | sort -r
}

cgroups() { # of this state directory, the deepest first
	[[ ! -s $STATE/local/id ]] || find /sys/fs/cgroup -depth -type d -path "*/float-$(head -c 8 "$STATE/local/id")*" 2>/dev/null || :
}

# Processes that print to the file that the way out of the hosts' network is known by.
outlets() {
	local other
	for other in /proc/[0-9]*; do
		[[ $(readlink "$other/fd/1" 2>/dev/null) != "$STATE/local/outlet"* ]] || echo "${other#/proc/}"
	done
	return 0
}

left_behind() {
	local what
	for what in mounts loops hosts_processes daemons_processes outlets cgroups; do
		$what | sed "s/^/${what//_/ }: /"
	done
}

show_threads() { # PID
	if command -v gdb >/dev/null; then
		timeout 20 gdb -p "$1" -batch -ex 'thread apply all bt 12' 2>/dev/null | grep -E '^(Thread|#)'
	else
		grep -s . "/proc/$1/task"/*/{comm,wchan,syscall}
	fi
}

# Stops the daemon and destroys by force whatever is left, however the tests ended. Fails if there was something.
take_down() {
	local left pid path
	if is_mounted; then
		# What is held, and served no more: whatever hangs on it is answered.
		if daemon_is_gone; then
			for pid in $(holders); do
				kill -KILL "$pid" 2>/dev/null
			done
		fi
		forget_jobs || true
		timeout 20 umount "$MOUNT" || {
			abort_fuse_connection
			timeout 5 umount -l "$MOUNT"
		}
	fi
	[[ ! -s $DIR/daemon.pid ]] || wait_for 20 daemon_is_gone || {
		echo "floatfs did not end; its threads:"
		show_threads "$(<"$DIR/daemon.pid")"
	}
	wait_for 5 nothing_is_left_behind && return 0
	left=$(left_behind)
	for pid in $(hosts_processes; daemons_processes; outlets); do
		kill -KILL "$pid" 2>/dev/null
	done
	sleep 0.5
	for path in $(mounts); do
		umount -l "$path"
	done
	for path in $(loops); do
		losetup -d "$path"
	done
	for path in $(cgroups); do
		rmdir "$path"
	done
	printf 'left behind:\n%s\n' "$left"
	return 1
}

nothing_is_left_behind() {
	[[ -z $(left_behind) ]]
}
