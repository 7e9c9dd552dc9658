# shellcheck shell=bash
# The C programs of tests/survive: what a process has, it still has after each of ten moves in a row. Several run side by
# side in one job, under tests/survive/stage.
# shellcheck source=tests/survive/jobs.sh
. "$top/tests/survive/jobs.sh"

timeout=240

declare -A groups=(
	[processes]="threads fault futex fpu rseq session zombie orphan stopped prctl rlimit nice credentials capabilities seccomp users"
	[rights]="rlimit nice credentials capabilities seccomp prctl"
	[memory]="mmap hugepage hugetlb shm memfd sysv_shm sysv_sem sysv_msg mqueue deleted"
	[files]="files directory locks lease inotify pipe pipe_full fifo eventfd epoll signalfd pty"
	[time]="itimer alarm shots posix_timer timerfd clocks signal_pending signal_handler"
	[waiting]="interrupted sleeps polls waits waits_sysv"
	[unix]="unix_stream unix_dgram unix_listen unix_backlog unix_names passed_fd"
	[network]="tcp tcp_stream tcp_listen tcp_half tcp_backlog keepalive udp sockopts"
	[refusal]="sleeps polls waits waits_sysv refused"
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
	survive waiting
}

# Checkpoints that fail, one after the other, until the last program lets go of what cannot be carried.
test_refusal() {
	local names owner=65534 from tries=0
	read -ra names <<<"${groups[refusal]}"
	start_stage 1 "${names[@]}"
	wait_for 60 ready_for 1 || fail "not all are ready: $(tail -n 3 "$dir/output")"
	from=$(host)
	until has_moved "$from"; do
		echo c5.2xlarge >"$dir/migrate"
		wait_for 60 is_executing || fail "the migration does not end: $(tail -n 3 "$dir/job.events")"
		((++tries < 100)) || fail "the pipe is not let go of"
	done
	wait_end 60
	grep -v '^READY' "$dir/output" || true
	(($(grep -c 'failed: .*keeps messages apart.*the job goes on where it was' "$dir/job.events") > 2)) ||
		fail "no checkpoint has failed"
	has_line "$dir/output" 'failed: 0' || fail "not all go on as before"
}

test_unix() {
	survive unix
}

test_network() {
	survive network
}

# Longer than a connection's ends are silent without giving it up.
test_frozen_for_long() {
	local owner=65534
	stop_daemon
	start_daemon fault=migrate.dump:criustop+migrate.restore:criustop
	moves_well 1 keepalive tcp tcp_stream || fail "not all survive"
	(($(info freeze_us) > 10000000)) || fail "it stood for $(info freeze_us) us only"
	forget_jobs
	stop_daemon
	start_daemon
}

test_tree() {
	survive tree
}
