# shellcheck shell=bash
# What a job reaches and what it does not. floatfs is started in a network namespace made here, which stands for the
# machine; another one, to which that has a route, stands for the outside. Nothing goes beyond these.

OUTSIDE=198.51.100.2
NEAR=198.51.100.1 # the machine's own address

setup() {
	start_daemon
	import_small_root
	stop_daemon
}

# Its processes end with the test.
make_namespace() { # VARIABLE: a process in it
	unshare --net sleep 1000 &
	printf -v "$1" %s "$!"
	wait_for 5 has_namespace "$!" || fail "there is no namespace"
}

has_namespace() { # PID
	[[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]
}

within() { # PID COMMAND...: in its network namespace
	local pid=$1
	shift
	nsenter --net="/proc/$pid/ns/net" -- "$@"
}

make_machine() {
	make_namespace machine
	make_namespace outside
	within "$machine" ip link add near type veth peer name far netns "$outside"
	within "$machine" sh -ec "ip link set lo up; ip address add $NEAR/24 dev near; ip link set near up"
	within "$outside" sh -ec "ip link set lo up; ip address add $OUTSIDE/24 dev far; ip link set far up"
	# Says what it hears.
	within "$outside" busybox nc -ll -p 7000 -e cat &
	within "$machine" busybox nc -ll -p 7001 -e cat &
	daemon_by=(nsenter --net="/proc/$machine/ns/net" --)
	wait_for 5 answers "$outside" 127.0.0.1 7000 || fail "the server outside does not answer"
	wait_for 5 answers "$machine" 127.0.0.1 7001 || fail "the server of the machine does not answer"
}

answers() { # PID ADDRESS PORT
	within "$1" timeout 5 bash -c "exec 3<>/dev/tcp/$2/$3 && echo hello >&3 && read -r line <&3 && [[ \$line == hello ]]" 2>/dev/null
}

connects() { # PID ADDRESS PORT
	within "$1" timeout 5 bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null
}

# The words of a job's script. Connections are tried side by side: one that hangs does not hide the others.
TRY='
try() { # ADDRESS PORT: a line for it
	if timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then echo "reached $1 $2"; else echo "not reached $1 $2"; fi
}
'

# Where agents, floatfs, the machine and another job would be. Hosts have addresses in their order.
forbidden() {
	local i
	printf '10.218.0.3 7433\n10.218.0.3 9000\n' # the host, on the job's own network
	for i in {1..9}; do
		printf '10.213.0.%s 7433\n10.213.0.%s 9000\n' "$i" "$i"
	done
	printf '10.219.0.%s 7001\n' 2 3 100 # the machine's loopback, through the way out
	printf '127.0.0.1 7001\n169.254.169.254 80\n'
}

outlet_is_gone() {
	[[ -z $(outlets) ]]
}

test_reaches_the_outside_and_nothing_else() {
	local other before after
	make_machine
	start_daemon
	submit <<-'END' # another job, which listens
		#!/bin/bash
		busybox nc -ll -p 9000 -e cat &
		echo listening
		wait
	END
	wait_line "$dir/output" listening
	other=$(info hostAddress)
	# shellcheck disable=SC2046 # words
	submit $(forbidden) <<-END
		#!/bin/bash
		$TRY
		shift
		trap 'again=yes' USR1
		show() {
			local line round=\$1
			shift
			echo "round \$round"
			busybox ip -o -4 address show; busybox ip route
			echo "end of addresses"
			exec 3<>/dev/tcp/$OUTSIDE/7000 && echo "hello \$round" >&3 && read -r line <&3 && echo "answer: \$line"
			while ((\$# > 1)); do try "\$1" "\$2" & shift 2; done
			wait
			try $NEAR 7001
			try 203.0.113.1 80
		}
		show 1 "\$@"; echo "shown 1"
		until [[ \$again ]]; do sleep 0.1; done
		show 2 "\$@"; echo "shown 2"
	END
	wait_line "$dir/output" "shown 1" 60
	migrate c5.2xlarge
	assert_match '10.213.0.[1-9]' "$(info hostAddress)" "the host's address, which the job has tried"
	# Not because nobody is there.
	connects "$(<"$DIR/daemon.pid")" "$(info hostAddress)" 7433 || fail "floatfs does not reach the agent"
	connects "$(<"$DIR/daemon.pid")" "$other" 7433 || fail "floatfs does not reach the other agent"
	echo "signal USR1" >"$dir/ctl"
	wait_end
	cat "$dir/output"
	assert_equal 2 "$(grep -c '^answer: hello [12]$' "$dir/output")" "answers from the outside"
	assert_equal 2 "$(grep -cx "reached $NEAR 7001" "$dir/output")" "connections to the machine's address"
	assert_equal 2 "$(grep -c '^reached ' "$dir/output")" "what was reached"
	assert_equal $((2 * $(forbidden | wc -l) + 2)) "$(grep -c '^not reached ' "$dir/output")" "what was not reached"
	before=$(sed -n '/^round 1/,/^end/{/^round/d;p}' "$dir/output")
	after=$(sed -n '/^round 2/,/^end/{/^round/d;p}' "$dir/output")
	assert_match '*10.218.0.2*default via*' "$before" "the job's addresses"
	assert_equal "$before" "$after" "the job's addresses after the move"
	forget_jobs
	stop_daemon
	wait_for 5 outlet_is_gone || fail "processes are left: $(outlets)"
}

test_connections_at_a_move() {
	make_machine
	start_daemon
	submit <<-END
		#!/bin/bash
		busybox nc -ll -p 9000 -e cat &
		until exec 5<>/dev/tcp/10.218.0.2/9000; do sleep 0.05; done 2>/dev/null
		exec 3<>/dev/tcp/$OUTSIDE/7000 4<>/dev/tcp/$OUTSIDE/7000
		trap '' PIPE
		echo ready
		# One waits for the other side, one is used again afterwards.
		cat <&3
		echo "read ended: \$?"
		until [[ \$(</float/jobs/self/status) == Executing ]]; do sleep 0.1; done
		echo lost >&4 && read -r line <&4
		echo "write ended: \$?"
		echo kept >&5 && read -r line <&5
		echo "inside: \$line"
		exec 6<>/dev/tcp/$OUTSIDE/7000 && echo new >&6 && read -r line <&6
		echo "again: \$line"
	END
	wait_line "$dir/output" ready
	migrate c5.2xlarge
	wait_end
	cat "$dir/output" "$dir/stderr.autosave"
	wait_event 'Closed 2 connections to the outside$'
	assert_equal 1 "$(grep -c 'Closed' "$dir/job.events")" "events"
	has_line "$dir/output" "read ended: 1" || fail "a read did not fail"
	has_line "$dir/output" "write ended: 1" || fail "a write did not fail"
	grep -qE '^cat: .*(Software caused connection abort|Transport endpoint is not connected)' "$dir/stderr.autosave" ||
		fail "a read said something else"
	has_line "$dir/output" "inside: kept" || fail "the connection within the job was lost"
	has_line "$dir/output" "again: new" || fail "there is no way out after the move"
}

# It does not feel a snapshot; taken back to it, it has connections that are long over.
test_connections_at_a_snapshot() {
	make_machine
	start_daemon
	submit <<-END
		#!/bin/bash
		exec 3<>/dev/tcp/$OUTSIDE/7000
		trap 'go=yes' USR1
		echo ready
		until [[ \$go ]]; do sleep 0.05; done
		echo kept >&3 && read -r -t 10 line <&3
		echo "after the snapshot: \$line \$?"
		go=
		until [[ \$go ]]; do sleep 0.05; done
	END
	wait_line "$dir/output" ready
	echo checkpoint >"$dir/ctl"
	wait_event 'Snapshot 1 taken'
	wait_status Executing
	echo 'signal USR1' >"$dir/ctl"
	wait_line "$dir/output" 'after the snapshot: kept 0'
	echo suspend >"$dir/ctl"
	wait_status Suspended
	echo 'resume 1' >"$dir/ctl"
	wait_status Executing
	echo 'signal USR1' >"$dir/ctl"
	wait_line "$dir/output" 'after the snapshot:  1'
	echo 'signal USR1' >"$dir/ctl"
	wait_end
}

# The connections are closed all the same, and the job goes on with a way out.
test_failed_move() {
	make_machine
	start_daemon fault=migrate.restore:error
	submit <<-END
		#!/bin/bash
		exec 3<>/dev/tcp/$OUTSIDE/7000
		echo ready
		cat <&3
		until [[ \$(</float/jobs/self/status) == Executing ]]; do sleep 0.1; done
		exec 6<>/dev/tcp/$OUTSIDE/7000 && echo new >&6 && read -r line <&6
		echo "again: \$line"
	END
	wait_line "$dir/output" ready
	echo c5.2xlarge >"$dir/migrate"
	wait_event 'Migration to instance type c5.2xlarge failed'
	wait_event 'Closed 1 connection to the outside$'
	wait_end
	has_line "$dir/output" "again: new" || fail "there is no way out after the failed move: $(cat "$dir/output")"
}

# A name server in a namespace made here, at the address that the machine's resolv.conf names.
make_name_server() { # ADDRESS
	local place=$outside
	if [[ $1 == 127.* ]]; then
		place=$machine
	else
		within "$outside" ip address add "$1/32" dev lo
		within "$machine" ip route add "$1" via "$OUTSIDE"
	fi
	# Its answer to every question for an address: 198.51.100.2.
	within "$place" perl -MIO::Socket::INET -e '
		my $socket = IO::Socket::INET->new(Proto => "udp", LocalPort => 53) or die "no socket: $!";
		while ($socket->recv(my $question, 512)) {
			my $asked = substr($question, 12);
			my $is_address = substr($asked, -4, 2) eq "\0\1";
			my $answer = $is_address ? "\300\14\0\1\0\1\0\0\0\74\0\4\306\63\144\2" : "";
			$socket->send(substr($question, 0, 2) . "\201\200" . pack("nnnn", 1, $is_address, 0, 0) . $asked . $answer);
		}' &
}

test_names() {
	local server
	server=$(sed -nE 's/^nameserver +([0-9.]+).*/\1/p' /etc/resolv.conf | head -n 1)
	[[ $server ]] || { echo "this machine has no name server"; return; }
	make_machine
	make_name_server "$server"
	start_daemon
	submit <<-'END'
		#!/bin/bash
		cat /etc/resolv.conf
		echo "end of file"
		timeout 20 busybox nslookup a.name.example
		trap 'again=yes' USR1
		echo shown
		until [[ $again ]]; do sleep 0.1; done
		cat /etc/resolv.conf
	END
	wait_line "$dir/output" shown
	cat "$dir/output" "$dir/stderr.autosave"
	has_line "$dir/output" "nameserver 10.219.0.3" || fail "no name server"
	grep -q "Address.*: $OUTSIDE" "$dir/output" || fail "the name was not found"
	migrate c5.large
	echo "signal USR1" >"$dir/ctl"
	wait_end
	assert_equal "$(sed '/^end of file/,$d' "$dir/output")" "$(sed '1,/^shown/d' "$dir/output")" "resolv.conf after the move"
}

test_resolver_of_the_image() {
	make_machine
	start_daemon
	make_root "$DIR/named"
	echo 'nameserver 198.51.100.53' >"$DIR/named/etc/resolv.conf"
	"$SHIM" image add named "$DIR/named"
	ln -sf ../run/systemd/resolve/stub-resolv.conf "$DIR/named/etc/resolv.conf"
	"$SHIM" image add dangling "$DIR/named"
	rm -rf "$DIR/named"
	image=named submit <<<$'#!/bin/bash\ncat /etc/resolv.conf'
	wait_end
	assert_equal 'nameserver 198.51.100.53' "$(<"$dir/output")" "an image's own"
	image=dangling submit <<<$'#!/bin/bash\ncat /etc/resolv.conf'
	wait_end
	if grep -q ^nameserver /etc/resolv.conf; then
		assert_match '*nameserver 10.219.0.3*' "$(<"$dir/output")" "in the place of a link to nowhere"
	fi
}

test_off() {
	make_machine
	start_daemon network=off
	submit <<-END
		#!/bin/bash
		$TRY
		busybox ip route
		[ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf
		try $OUTSIDE 7000
		try $NEAR 7001
		try 10.213.0.1 7433
		try 10.213.0.2 7433
		try 10.218.0.2 7433
		busybox nc -ll -p 9000 -e cat &
		until exec 5<>/dev/tcp/10.218.0.2/9000; do sleep 0.05; done 2>/dev/null
		echo kept >&5 && read -r line <&5
		echo "inside: \$line"
	END
	wait_end
	cat "$dir/output"
	! grep -E '^(default|nameserver|reached)' "$dir/output" || fail "there is a way out"
	assert_equal 5 "$(grep -c '^not reached' "$dir/output")" "attempts"
	has_line "$dir/output" "inside: kept" || fail "the job does not reach itself"
	outlet_is_gone || fail "there is a process for the way out: $(outlets)"
}

test_neither_on_nor_off() {
	local message
	! message=$("$B/floatfs" -f -o "$(daemon_options network=perhaps)" "$MOUNT" 2>&1) || fail "it started"
	assert_match '*network=perhaps: it is on or off' "$message" "what it says"
}

test_machine_without_a_way_out() {
	make_namespace machine
	daemon_by=(nsenter --net="/proc/$machine/ns/net" --)
	start_daemon
	submit <<-END
		#!/bin/bash
		$TRY
		try $OUTSIDE 7000
	END
	wait_end
	assert_equal "not reached $OUTSIDE 7000" "$(<"$dir/output")" output
}

daemon_has_taken_up() {
	[[ $(<"$dir/status") == Executing ]]
}

test_found_again() {
	local pid
	make_machine
	start_daemon
	submit <<-END
		#!/bin/bash
		exec 3<>/dev/tcp/$OUTSIDE/7000
		trap 'again=yes' USR1
		echo ready
		until [[ \$again ]]; do sleep 0.1; done
		echo same >&3 && read -r line <&3
		echo "the same connection: \$line"
	END
	wait_line "$dir/output" ready
	pid=$(outlets)
	[[ $pid =~ ^[0-9]+$ ]] || fail "processes for the way out: '$pid'"
	kill -KILL "$(<"$DIR/daemon.pid")"
	wait_for 10 daemon_is_gone || fail "floatfs does not end"
	start_daemon
	wait_for 10 daemon_has_taken_up || fail "the job is $(<"$dir/status")"
	assert_equal "$pid" "$(outlets)" "the process for the way out"
	echo "signal USR1" >"$dir/ctl"
	wait_end
	has_line "$dir/output" "the same connection: same" || fail "the connection was lost: $(cat "$dir/output")"
	# Killed, it is there again for the next host.
	kill -KILL "$pid"
	submit <<<$'#!/bin/bash\nexec 3<>/dev/tcp/'$OUTSIDE$'/7000 && echo new >&3 && read -r line <&3; echo "$line"'
	wait_end
	assert_equal new "$(<"$dir/output")" "the answer"
}
