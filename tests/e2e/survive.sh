# shellcheck shell=bash
# The C programs of tests/survive: what a process has, it still has after each of ten moves in a row. Several run side by
# side in one job, under tests/survive/stage.
# shellcheck source=tests/survive/jobs.sh
. "$top/tests/survive/jobs.sh"

timeout=240

declare -A groups=(
	[processes]="threads futex fpu rseq session zombie orphan stopped prctl rlimit nice credentials capabilities seccomp users"
	[rights]="rlimit nice credentials capabilities seccomp prctl"
	[memory]="mmap hugepage hugetlb shm memfd sysv_shm sysv_sem sysv_msg mqueue deleted"
	[files]="files directory locks lease inotify pipe pipe_full fifo eventfd epoll signalfd pty"
	[time]="itimer alarm posix_timer timerfd clocks signal_pending signal_handler"
	[waiting]="interrupted sleeps polls waits waits_sysv"
	[unix]="unix_stream unix_dgram unix_listen unix_backlog unix_names passed_fd"
	[network]="tcp tcp_stream tcp_listen tcp_half tcp_backlog udp sockopts"
	[tree]="float_files float_reads float_events float_wait"
)

# Most jobs are not of root, who has more rights.
declare -A owners=([rights]=65534 [files]=65534 [time]=65534 [waiting]=65534 [network]=65534 [tree]=65534)

setup() {
	start_daemon
	put_stage
	make_root "$DIR/root"
	mkdir "$DIR/root/survive"
	cp "$B"/survive/* "$DIR/root/survive/"
	"$SHIM" image add small "$DIR/root"
	rm -rf "$DIR/root"
}

test_every_program_is_run() {
	diff <(names | uniq) <(cd "$top/tests/survive" && printf '%s\n' ./*.c | sed 's|^./||; s|\.c$||' | sort)
}

test_readme_lists_them() {
	diff "$top/tests/survive/README" <("$top/tests/survive/list") || fail "run tests/survive/list >tests/survive/README"
}

test_processes() {
	survive processes
}

test_rights() {
	survive rights
}

# So many huge pages more for the machine, until this test has ended, however it does.
add_huge_pages() { # COUNT
	local answer test=$BASHPID
	read -r answer < <(setsid bash -c '
		add() {
			flock 9
			echo $(($(<"$file") + $1)) >"$file"
			flock -u 9
		}
		file=/proc/sys/vm/nr_hugepages
		exec 9<"$file"
		add "$2" 2>/dev/null && echo "$2 huge pages more" || exec echo "this machine gives no huge pages"
		exec >&-
		while kill -0 "$1"; do sleep 0.1; done
		add "-$2"
	' - "$test" "$1" </dev/null 2>/dev/null)
	echo "$answer"
}

test_memory() {
	add_huge_pages 8
	survive memory
}

test_files() {
	survive files
}

test_time() {
	survive time
}

test_waiting() {
	# A sleep that is interrupted twice within some milliseconds ended with EINTR once in twenty runs.
	local not_yet=snapshots
	survive waiting
}

test_unix() {
	survive unix
}

test_network() {
	survive network
}

test_tree() {
	survive tree
}
