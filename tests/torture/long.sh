# shellcheck shell=bash disable=SC2154 # $dir and $job are of lib.sh
# What only shows after a long time: nothing is lost, and floatfs and its hosts hold no more than in the beginning.
# shellcheck source=tests/torture/counter.sh
. "$top/tests/torture/counter.sh"

timeout=3600
moves=${MOVES:-500} seconds=${MOVE_SECONDS:-600}

setup() {
	start_daemon
	import_small_root
}

other_type() {
	[[ $(<"$dir/instance") == c5.2xlarge ]] && echo c5.large || echo c5.2xlarge
}

move() {
	local from
	from=$(host)
	order "$(other_type)" migrate
	wait_for 120 has_moved "$from" || fail "stuck or not moved: $(tail -n 4 "$dir/job.events")"
}

daemon() {
	cat "$DIR/daemon.pid"
}

descriptors() {
	ls "/proc/$(daemon)/fd"
}

links() {
	nsenter --net --target "$(daemon)" ip -oneline link
}

possessions() { # a line each: how many of what
	local what
	for what in mounts loops hosts_processes daemons_processes outlets cgroups descriptors links; do
		echo "$what $($what | wc -l)"
	done
}

anonymous_kib() {
	sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(daemon)/status"
}

holds_no_more_than() { # FORMER possessions
	possessions >"$DIR/now"
	awk 'NR == FNR { former[$1] = $2; next } $2 > former[$1] { print $1 " grew from " former[$1] " to " $2; more = 1 } END { exit more }' \
		<(printf '%s\n' "$1") "$DIR/now" >"$DIR/more"
}

# From the fiftieth on: by then whatever is made once is there.
test_many_moves() {
	local i former='' before=0 after
	submit_counter
	wait_status Executing 60
	for ((i = 1; i <= moves; i++)); do
		move
		((i != (moves + 9) / 10)) || {
			sleep 2
			former=$(possessions) before=$(anonymous_kib)
		}
	done
	wait_for 30 holds_no_more_than "$former" || fail "left over: $(<"$DIR/more")"
	after=$(anonymous_kib)
	echo "floatfs's memory: $before KiB, then $after KiB"
	((after < before * 5 / 4 + 1024)) || fail "its memory grew from $before to $after KiB"
	assert_equal "$moves" "$(info migrations)" migrations
	is_whole
	end_job
	check_end
}

move_on() { # JOB END
	job=$1 dir=$MOUNT/jobs/$1
	while ((SECONDS < $2)); do
		move
		grows
	done
	is_whole
	echo "$job was moved $(info migrations) times"
}

test_many_at_once() {
	local i end jobs=() movers=() pid
	for ((i = 0; i < ${MOVE_JOBS:-20}; i++)); do
		submit_counter
		wait_status Executing 60
		jobs+=("$job")
	done
	end=$((SECONDS + seconds))
	for job in "${jobs[@]}"; do
		move_on "$job" "$end" &
		movers+=("$!")
	done
	for pid in "${movers[@]}"; do
		wait "$pid" || fail "a job was lost, or could not be moved"
	done
	for job in "${jobs[@]}"; do
		dir=$MOUNT/jobs/$job
		order 'signal TERM' ctl
	done
	for job in "${jobs[@]}"; do
		dir=$MOUNT/jobs/$job
		wait_end 120
		check_end
	done
}
