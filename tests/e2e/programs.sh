# shellcheck shell=bash
# Whole programs, of packages, as jobs that are moved ten times in a row: the scripts of tests/survive/programs.
# shellcheck source=tests/survive/jobs.sh
. "$top/tests/survive/jobs.sh"

timeout=600

# What stands in not_yet does not survive a move today; it is kept to be run by hand: survive not_yet.
declare -A groups=(
	[waiting]="bash_jobs python_threads sqlite_transaction redis_client tail_follow java_threads"
	[busy]="gcc_build tar_data rsync_local"
	[sort]="sort_big"
	[not_yet]="tar_extract"
)

declare -A owners=([waiting]=65534)

setup() {
	start_daemon
	put_stage
	cp --reflink=auto "$B/test-image.tar" "$DIR/image.tar"
	tar --append --file "$DIR/image.tar" --directory "$top/tests/survive" --owner=0 --group=0 \
		--transform 's|^programs|survive|' programs
	"$SHIM" image add small "$DIR/image.tar"
	rm "$DIR/image.tar"
}

test_every_program_is_run() {
	diff <(names) <(cd "$top/tests/survive/programs" && find . -type f -executable -printf '%P\n' | sort)
}

test_waiting() {
	survive waiting
}

test_busy() {
	survive busy
}

test_sort() {
	survive sort
}
