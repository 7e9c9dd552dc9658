# shellcheck shell=bash
# Output is continuous to the byte, over any number of migrations.
timeout=180

setup() {
	start_daemon
	import_small_root
}

test_five_migrations_in_a_row() {
	local n follow_output follow_events
	submit <<-'END'
		#!/bin/bash
		trap stop=1 TERM
		n=0
		while [ -z "$stop" ]; do
			echo "line $((n += 1)) 0123456789012345678901234567890123456789"
			echo "error $n" >&2
			[ $((n % 20)) != 0 ] || sleep 0.01
		done
		echo "$n" >"$1/count"
	END
	wait_for 20 test -s "$dir/output" || fail "there is no output"
	tail -n +1 -s 0.1 -f "$dir/output" >"$DIR/followed.output" &
	follow_output=$!
	tail -n +1 -s 0.1 -f "$dir/job.events" >"$DIR/followed.events" &
	follow_events=$!
	"$SHIM" log tail --follow stderr.autosave -j "$job" >"$DIR/followed.stderr" &
	for n in c5.2xlarge c5.large m5.large c5.2xlarge c5.large; do
		migrate $n
	done
	assert_equal 5 "$(info migrations)" migrations
	echo "signal TERM" >"$dir/ctl"
	wait_end
	n=$(<"$dir/log/count")
	echo "$n lines"
	for ((i = 1; i <= n; i++)); do
		echo "line $i 0123456789012345678901234567890123456789"
	done >"$DIR/expected"
	cmp "$DIR/expected" "$dir/output" || fail "output is not what the job wrote"
	cmp <(seq "$n" | sed 's/^/error /') "$dir/stderr.autosave" || fail "stderr.autosave is not what the job wrote"
	wait_for 20 no_host_is_left
	wait_for 10 cmp -s "$DIR/expected" "$DIR/followed.output" || fail "tail -f of output has not every line once"
	wait_for 10 cmp -s "$dir/job.events" "$DIR/followed.events" || fail "tail -f of job.events has not every line once"
	wait_for 10 cmp -s "$dir/stderr.autosave" "$DIR/followed.stderr" || fail "float log tail has not every line once"
	kill $follow_output $follow_events
	assert_equal 5 "$(grep -c 'Job floated' "$dir/job.events")" "migrations in job.events"
}

# No read -t: when its time is over before it reads, as a freeze may have it, bash 5.2 blocks any signals (read.def: prevset).
test_heartbeats() {
	local gap freeze
	submit <<-'END'
		#!/bin/bash
		last=${EPOCHREALTIME/./} largest=0
		trap 'echo "$largest" >"$1/gap"; exit' TERM
		echo up
		while :; do
			now=${EPOCHREALTIME/./}
			((now - last <= largest)) || largest=$((now - last))
			last=$now
			sleep 0.002
		done
	END
	wait_line "$dir/output" up
	migrate c5.2xlarge
	freeze=$(info freeze_us)
	echo "signal TERM" >"$dir/ctl"
	wait_end
	gap=$(<"$dir/log/gap")
	echo "freeze_us $freeze, the job saw a gap of $gap us"
	# It is counted from the start of criu, which stops the tasks some milliseconds later: more under load.
	((freeze <= gap + 100000)) || fail "freeze_us $freeze is more than the job saw: $gap"
}

# As after a program that fills in a file that it has made at its full size, or one that writes through a mapping.
test_written_over() {
	submit <"$B/jobs/scatter"
	wait_line "$dir/output" up
	halted_is_the_same 1
	echo 'signal USR1' >"$dir/ctl"
	migrate c5.2xlarge
	halted_is_the_same 2
	migrate c5.large
	echo 'signal USR1' >"$dir/ctl"
	kill_and_start
	halted_is_the_same 3
	echo 'signal USR1' >"$dir/ctl"
	sleep 0.5
	echo 'signal TERM' >"$dir/ctl"
	wait_end
	is_the_same 4 || fail "at the end it is not what the job wrote"
}

is_the_same() { # NUMBER
	cmp "$dir/log/grid" "$dir/log/grid.$1" && cmp "$dir/log/map" "$dir/log/map.$1"
}

halted_is_the_same() { # NUMBER
	sleep 0.5
	echo 'signal USR1' >"$dir/ctl"
	wait_line "$dir/output" "still $1"
	wait_for 20 is_the_same "$1" || fail "it is not what the job wrote"
}
