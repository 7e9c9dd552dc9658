# shellcheck shell=bash
# Ordinary programs read a job's live files while it writes and is disturbed: every byte once, in order.
#
# The bytes of every file are known from where they stand (tests/jobs/lines.c): they are those of the file $DIR/lines.
timeout=300

CLIENTS=$top/tests/e2e/clients.py

setup() {
	start_daemon
	make_root "$DIR/root"
	cp "$B/jobs/lines" "$B/jobs/swap" "$DIR/root"
	"$SHIM" image add small "$DIR/root"
	rm -rf "$DIR/root"
	timeout 60 "$B/jobs/lines" "$DIR/lines" $((3 << 20)) 0 1
}

# Files that only grow, the slowest first.
growing=(output log/sub/deep/file log/fast)

submit_writers() {
	submit <<-'END'
		#!/bin/bash
		log=$1
		trap 'kill $(jobs -p); exit 0' TERM
		mkdir -p "$log/sub/deep" "$log/here"
		echo quiet >"$log/quiet"
		/lines "$log/fast" 8192 250 $((32 << 20)) &
		/lines "$log/sub/deep/file" 64 10 &
		/lines "$log/moved" 16 10 &
		/lines "$log/here/inside" 16 10 &
		/lines "$log/cut" 32 20 65536 cut &
		while :; do
			# Slowly: tail -F looks for another file of that name now and then only, on any file system.
			/lines "$log/rotated" 16 10 4096
			sleep 3
			mv "$log/rotated" "$log/rotated.$((n += 1))"
			sleep 1
		done &
		until [[ -e $log/moved && -e $log/here/inside ]]; do sleep 0.01; done
		/swap "$log/moved" "$log/sub/moved" 5 &
		/swap "$log/here" "$log/sub/there" 7 &
		for ((i = 0; ; i++)); do
			/lines "$log/tmp" 16384 2 $((512 << 10))
			mv "$log/tmp" "$log/result.$i"
			rm -f "$log/result.$((i - 4))"
			sleep 0.2
		done &
		exec 3>>"$log/output"
		/lines /proc/self/fd/3 1 10 &
		wait
	END
}

is_larger_than() { # BYTES FILE
	(($(size_of "$2") > $1))
}

wait_writers() {
	local file
	for file in log/quiet log/cut log/rotated; do
		wait_for 20 test -s "$dir/$file" || fail "there is no $file"
	done
	for file in "${growing[@]}"; do
		wait_for 20 is_larger_than 1000 "$dir/$file" || fail "$file does not grow"
	done
}

# ---- what they got

size_of() {
	stat -c %s "$1"
}

assert_lines() { # FILE [FROM]: it holds what is written, from there on
	local size
	size=$(size_of "$1")
	cmp -n "$size" -i "0:${2:-0}" "$1" "$DIR/lines" || fail "$1 is not what the job wrote: $size bytes from ${2:-0} on"
}

# ---- programs that are run again and again

declare -A known

assert_grew() { # WHAT COPY: since it was copied last
	local size
	size=$(size_of "$2")
	((size >= ${known[$1]:-1})) || fail "$1 was ${known[$1]:-not empty}, it is $size"
	known[$1]=$size
	assert_lines "$2"
}

round_cp() {
	local file
	mkdir -p "$DIR/cp"
	for file in "${growing[@]}"; do
		cp "$dir/$file" "$DIR/cp/copy"
		assert_grew "$file" "$DIR/cp/copy"
	done
}

round_rsync() {
	local status=0
	rsync -a --inplace --exclude=/cut "$dir/log/" "$DIR/rsync" || status=$?
	# 24: a file was renamed meanwhile.
	((status == 0 || status == 24)) || fail "rsync --inplace: $status"
	assert_grew deep "$DIR/rsync/sub/deep/file"
	assert_grew fast "$DIR/rsync/fast"
	assert_grew output "$DIR/rsync/output"
}

round_rsync_append() {
	rsync -a --append "$dir/output" "$dir/log/fast" "$DIR/append"
	assert_grew output "$DIR/append/output"
	assert_grew fast "$DIR/append/fast"
}

round_grep() {
	local number line
	number=$(($(size_of "$dir/log/sub/deep/file") / 16 - 1))
	printf -v line '%015d' "$number"
	# A directory that is renamed meanwhile makes an error of it.
	grep -rnFx "$line" "$dir/log" >"$DIR/grep" 2>/dev/null || (($? == 2))
	assert_equal "$dir/log/sub/deep/file:$((number + 1)):$line" "$(grep "^$dir/log/sub/deep/file:" "$DIR/grep")" "what grep -r found"
}

# The daemon's clock is this machine's.
round_find() {
	local found size
	: >"$DIR/newer"
	size=$(size_of "$dir/log/sub/deep/file")
	until (($(size_of "$dir/log/sub/deep/file") > size)); do
		[[ ! -e $DIR/stop ]] || return 0
		sleep 0.05
	done
	found=$(find "$dir/log/quiet" "$dir/log/sub/deep" -type f -newer "$DIR/newer")
	assert_equal "$dir/log/sub/deep/file" "$found" "what find -newer found"
}

round_tar() { # of the job, and of jobs/
	local from status=0
	for from in "$dir" "$MOUNT/jobs"; do
		rm -rf "$DIR/tar"
		mkdir "$DIR/tar"
		LC_ALL=C tar -C "$from" -cf "$DIR/tar.tar" . 2>"$DIR/tar.said" || status=$?
		tar -C "$DIR/tar" -xf "$DIR/tar.tar"
		# 1: a file grew meanwhile, or a value is another, or the job cut it; 2: of a job that has not ended there are no files/.
		((status <= 2)) || fail "tar: $status"
		if grep -vE '(: file changed as we read it|/(cut|info|info[.]json|status|migrate|error): File shrank by [0-9]* bytes?; padding with zeros|: File removed before we read it|: Cannot stat: No such file or directory|/files: Cannot open: Operation not supported)$|^tar: Exiting with failure status' "$DIR/tar.said"; then
			fail "what tar said"
		fi
		[[ $from == "$dir" ]] || from=$DIR/tar/$job
		[[ $from != "$dir" ]] || from=$DIR/tar
		assert_grew output "$from/output"
		assert_grew deep "$from/log/sub/deep/file"
		assert_grew fast "$from/log/fast"
		assert_equal "$job" "$(sed -n 's/^id //p' "$from/info")" "the id in the tar"
	done
}

round_md5sum() { # of the same range
	local file sum
	for file in "${growing[@]}"; do
		: "${known[$file]:=$(size_of "$dir/$file")}"
		sum=$(head -c "${known[$file]}" "$dir/$file" | md5sum)
		: "${known[$file.sum]:=$sum}"
		assert_equal "${known[$file.sum]}" "$sum" "md5sum of $file"
	done
}

round_dd() { # goes on where it stopped
	local file copy
	mkdir -p "$DIR/dd"
	for file in "${growing[@]}"; do
		copy=$DIR/dd/${file//\//.}
		dd if="$dir/$file" skip="${known[$file]:-0}" iflag=skip_bytes bs=60k status=none >>"$copy"
		known[$file]=$(size_of "$copy")
		assert_lines "$copy"
	done
}

# The names of the above.
rounds=(cp rsync rsync_append grep find tar md5sum dd)

# ---- programs that follow

copy_of() { # FOLLOWER FILE
	printf '%s/%s.%s' "$DIR/followed" "$1" "${2//\//.}"
}

follow() { # FOLLOWER FILE PROGRAM...: what it prints is kept
	local copy
	copy=$(copy_of "$1" "$2")
	"${@:3}" >"$copy" 2>"$copy.said" &
	followers+=("$!")
}

start_followers() {
	local file
	mkdir "$DIR/followed"
	# From before the first of them is renamed.
	follow tail_F log/rotated tail -s 0.05 -c +1 -F "$dir/log/rotated"
	wait_writers
	for file in "${growing[@]}"; do
		follow tail_f "$file" tail -s 0.05 -c +1 -f "$dir/$file"
		follow tail_F "$file" tail -s 0.05 -c +1 -F "$dir/$file"
		follow tail_from "$file" tail -s 0.05 -c +1001 -f "$dir/$file"
		python3 "$CLIENTS" map "$DIR/stop" "$dir/$file" "$(copy_of map "$file")" >"$DIR/client.map" 2>&1 &
		clients[$!]=map
	done
	for file in moved here/inside; do
		follow tail_f log/$file bash -c 'until tail -s 0.05 -c +1 -f "$1" 2>/dev/null; do :; done' - "$dir/log/$file"
	done
	follow tail_F log/cut tail -s 0.05 -c +1 -F "$dir/log/cut"
	follow less output env TERM=xterm script -q -f -c "less +F '$dir/output'" /dev/null
	python3 "$CLIENTS" sample "$DIR/stop" "+$dir/output" "+$dir/stdout.autosave" "+$dir/job.events" "+$dir/log/fast" "+$dir/log/sub/deep/file" \
		"+$dir/log/quiet" "-$dir/log/moved" "-$dir/log/here/inside" "=$dir/log/cut" >"$DIR/client.sample" 2>&1 &
	clients[$!]=sample
	python3 "$CLIENTS" whole "$DIR/stop" "$dir/log" result. $((512 << 10)) >"$DIR/client.whole" 2>&1 &
	clients[$!]=whole
}

# They have printed all of it.
assert_follower() { # FOLLOWER FILE [FROM]
	local copy
	copy=$(copy_of "$1" "$2")
	tail -c "+$((${3:-0} + 1))" "$dir/$2" >"$DIR/wanted"
	wait_for 10 cmp -s "$copy" "$DIR/wanted" || fail "$1 of $2: $(cmp "$copy" "$DIR/wanted" 2>&1)"
	assert_equal '' "$(<"$copy.said")" "what $1 said of $2"
}

# Each number is the one before it and 1; or larger, of a file that the job cut.
assert_counted() { # FILE [cut]
	awk -v cut="${2:-}" 'NR > 1 && (cut ? $1 <= last : $1 != last + 1) { print "after", last, "comes", $1; exit 1 } { last = $1 + 0 }' "$1" ||
		fail "the numbers in $1"
}

# They are all alike. Where the machine is slow tail -F misses whole ones, on any file system; never a part.
are_whole_rotations() { # COPY WANTED
	(($(size_of "$1") <= $(size_of "$2") && ($(size_of "$2") - $(size_of "$1")) % 4096 == 0)) && cmp -s -n "$(size_of "$1")" "$1" "$2"
}

less_has_the_last_line() {
	tr -d '\r' <"$(copy_of less output)" | grep -aoE '[0-9]{15}' >"$DIR/less" && [[ $(tail -n 1 "$DIR/less") == $(tail -n 1 "$dir/output") ]]
}

check_followers() {
	local file
	for file in "${growing[@]}"; do
		assert_follower tail_f "$file"
		assert_follower tail_F "$file"
		assert_follower tail_from "$file" 1000
		cmp "$(copy_of map "$file")" "$dir/$file" || fail "what was mapped of $file"
	done
	file=$(copy_of tail_f log/moved)
	find "$dir/log" -name moved -exec cat {} + >"$DIR/wanted"
	wait_for 10 cmp -s "$file" "$DIR/wanted" || fail "tail -f of a file that was renamed"
	file=$(copy_of tail_f log/here/inside)
	find "$dir/log" -name inside -exec cat {} + >"$DIR/wanted"
	wait_for 10 cmp -s "$file" "$DIR/wanted" || fail "tail -f of a file whose directory was renamed"
	assert_counted "$(copy_of tail_F log/cut)" cut
	grep -q 'file truncated' "$(copy_of tail_F log/cut).said" || fail "the job cut no file"
	file=$(copy_of tail_F log/rotated)
	find "$dir/log" -name 'rotated.*' | sort -V | xargs cat >"$DIR/wanted"
	[[ ! -e $dir/log/rotated ]] || cat "$dir/log/rotated" >>"$DIR/wanted"
	wait_for 10 are_whole_rotations "$file" "$DIR/wanted" || fail "tail -F of a file that was rotated: $(size_of "$file") of $(size_of "$DIR/wanted") bytes"
	(($(grep -c 'following new file' "$file.said") > 1)) || fail "no file was rotated"
	wait_for 10 less_has_the_last_line || fail "less +F: its last line is $(tail -n 1 "$DIR/less")"
	assert_counted "$DIR/less"
}

# ---- all of it, while the job is disturbed

again_and_again() { # NAME
	set -eE
	until [[ -e $DIR/stop ]]; do
		"round_$1"
		echo "$1" >>"$DIR/rounds"
		sleep 0.1
	done
}

rounds_of() { # NAME
	grep -cxF "$1" "$DIR/rounds" || true
}

# All that are run again and again began, and ended, from now on.
wait_rounds() {
	local name
	declare -A before=()
	for name in "${rounds[@]}"; do
		before[$name]=$(rounds_of "$name")
	done
	for name in "${rounds[@]}"; do
		wait_for 100 has_rounds "$name" $((before[$name] + 2)) || fail "$name: $(tail -n 5 "$DIR/client.$name")"
	done
}

has_rounds() { # NAME COUNT
	(($(rounds_of "$1") >= $2))
}

with_clients() { # DISTURBANCE...
	local name pid followers=()
	declare -A clients=()
	rm -rf "$DIR"/{stop,rounds,cp,rsync,append,tar,dd,followed}
	touch "$DIR/rounds"
	submit_writers
	start_followers
	for name in "${rounds[@]}"; do
		again_and_again "$name" >"$DIR/client.$name" 2>&1 &
		clients[$!]=$name
	done
	wait_rounds
	"$@"
	wait_rounds
	echo 'signal TERM' >"$dir/ctl"
	wait_end
	touch "$DIR/stop"
	for pid in "${!clients[@]}"; do
		wait "$pid" || fail "${clients[$pid]}: $(tail -n 5 "$DIR/client.${clients[$pid]}")"
	done
	echo "$(sort "$DIR/rounds" | uniq -c | tr '\n' ' ') $(<"$DIR/client.sample"), $(<"$DIR/client.whole")"
	for name in "${growing[@]}"; do
		assert_lines "$dir/$name"
		echo "$name: $(size_of "$dir/$name") bytes"
	done
	check_followers
	kill "${followers[@]}"
}

migrations() {
	migrate c5.2xlarge
	sleep 1
	migrate c5.large
}

suspension() {
	echo suspend >"$dir/ctl"
	wait_status Suspended 60
	sleep 1
	echo resume >"$dir/ctl"
	wait_status Executing 60
}

restarts() {
	local i
	for i in 1 2; do
		kill_and_start
		sleep 1
	done
}

test_across_migrations() {
	with_clients migrations
}

test_across_a_suspension() {
	with_clients suspension
}

test_across_restarts() {
	with_clients restarts
}
