# shellcheck shell=bash disable=SC2154 # $top, $dir and $code are of lib.sh, $groups of the test file
# How tests/e2e/survive.sh and programs.sh run the programs of tests/survive: as jobs, under the stage, moved in a row.

moves=${SURVIVE_MOVES:-10}

names() { # of all programs, sorted
	tr ' ' '\n' <<<"${groups[*]}" | sort
}

# For those who may not look into the directories of this repository.
put_stage() {
	install -D -m 755 -t "$DIR/bin" "$top/tests/survive/stage" "$SHIM"
}

start_stage() { # MOVES NAME...: a job that runs these programs, of user $owner
	local count=$1 answer as=()
	shift
	[[ ${owner:-0} == 0 ]] || as=(setpriv --reuid="$owner" --regid="$owner" --clear-groups)
	answer=$("${as[@]}" "$DIR/bin/float" submit -i small -j "$DIR/bin/stage" --instType c5.large \
		--dataVolume '[size=8]:/data' -e "SURVIVE_MOVES=$count" "$@") || fail "submit was refused"
	job=$(sed -n 's/^id: //p' <<<"$answer")
	dir=$MOUNT/jobs/$job
}

ready_for() { # MOVE; or the job has ended
	has_line "$dir/output" "READY $1" || [[ -s $dir/exit_code ]]
}

has_moved_or_failed() { # FROM-HOST
	has_moved "$1" || grep -qE 'Migration to .* failed|could not go on' "$dir/job.events"
}

move_once() { # TARGET: false when the migration failed
	local from
	from=$(host)
	echo "$1" >"$dir/migrate"
	wait_for 60 has_moved_or_failed "$from" || fail "the migration does not end: $(tail -n 3 "$dir/job.events")"
	has_moved "$from" && echo "moved, frozen $(info freeze_us) us"
}

take_snapshot() { # false when it failed
	echo checkpoint >"$dir/ctl"
	wait_for 60 is_executing || fail "the snapshot does not end: $(tail -n 3 "$dir/job.events")"
	! grep 'Snapshot failed' "$dir/job.events"
}

is_executing() {
	status_is Executing
}

# Runs these programs and moves them so many times; false when a migration failed or not all of them were right.
moves_well() { # MOVES NAME...
	local count=$1 move types=(c5.large c5.2xlarge)
	start_stage "$@"
	for ((move = 1; move <= count; move++)); do
		wait_for 60 ready_for "$move" || fail "not all are ready for move $move: $(tail -n 3 "$dir/output")"
		has_line "$dir/output" "READY $move" || break
		# It must not be seen.
		((move % 4 != 3)) || take_snapshot || return 1
		move_once "${types[move % 2]}" || {
			grep -E 'failed|could not' "$dir/job.events"
			return 1
		}
	done
	wait_end 120
	grep -v '^READY' "$dir/output" || true
	has_line "$dir/output" 'failed: 0' && [[ $code == 0 ]]
}

# Which of them was it that could not be moved?
find_culprits() { # NAME...
	local name answer
	for name; do
		answer=$(moves_well 1 "$name") || printf '%s by itself:\n%s\n' "$name" "$answer"
		forget_jobs
	done
}

survive() { # GROUP of $groups, as root or the user of $owners
	local names owner=${owners[$1]:-0}
	read -ra names <<<"${groups[$1]}"
	moves_well "$moves" "${names[@]}" && return
	has_line "$dir/output" "failed: 0" || grep -q '^failed: ' "$dir/output" || {
		forget_jobs
		find_culprits "${names[@]}"
	}
	fail "not all survive"
}
