# shellcheck shell=bash
# Sourced by the scripts of tests/survive/programs. As in survive.h: `while moved; do check …; done; ok`.
name=${0##*/} moves=0

moved() { # says that it is ready, and waits for the move; false when it was moved often enough
	((moves < SURVIVE_MOVES)) || return 1
	echo $((moves + 1)) >"/data/stage/$name.ready"
	until (($(</data/stage/moves) > moves)); do
		sleep 0.05
	done
	((++moves))
}

check() { # COMMAND...
	"$@" && return
	echo "$name, line ${BASH_LINENO[0]}, moves: $moves: does not hold: $*"
	exit 1
}

ok() {
	echo OK
}

again_and_again() { # COMMAND...
	while [[ ! -e stop ]]; do
		"$@" >>round.output 2>&1 || { echo "failed with $?" >>round.output; return 1; }
		echo >>rounds
	done
}

# Does it again and again while it is moved. None may fail, and one that was begun is brought to its end.
survive_doing() { # COMMAND...
	: >rounds
	again_and_again "$@" &
	while moved && kill -0 $!; do
		:
	done
	touch stop
	wait $! || {
		tail -n 5 round.output
		check false
	}
	check test -s rounds
	ok
}
