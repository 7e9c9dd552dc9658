# shellcheck shell=bash
# The tree itself: what is the same whatever the jobs do.

setup() {
	start_daemon
}

test_top() {
	local name
	for name in README error events jobs hosts instances images secrets; do
		[[ -e $MOUNT/$name ]] || fail "there is no $name"
	done
	grep -q migrate "$MOUNT/README" || fail "README does not say how to use the tree"
	assert_equal '' "$(ls "$MOUNT/jobs")" jobs
	assert_equal '' "$(ls "$MOUNT/hosts")" hosts
}

documented() { # the names that floatfs(5) lists, a job's and those at the top
	sed -n 's/^\.It Pa //p' "$top/man/floatfs.5" | sed 's/[,/ ]/\n/g' | grep . | sort -u
}

rows() { # of the table, as README shows it
	sed -n '/^  README /,/^$/p' "$MOUNT/README" | awk 'NF {print $1}' | tr -d / | grep -vxF '*' | sort -u
}

test_manual_and_readme_say_the_same() {
	local name
	for name in $(rows); do
		documented | grep -qxF "$name" || fail "floatfs(5) does not list $name"
	done
	for name in $(documented); do
		case $name in
		ID | i-... | TYPE | NAME) continue ;; # what stands for any name
		esac
		rows | grep -qxF "$name" || fail "floatfs(5) lists $name, which there is not"
	done
}

test_instances() {
	local family
	for family in c5 m5 r5 t3 c6i m6i r6i; do
		ls -d "$MOUNT/instances/$family".* >/dev/null || fail "there is no $family"
	done
	for line in 'cpu 8' 'memory 16' 'priceOnDemand 0.34'; do
		grep -qx "$line" "$MOUNT/instances/c5.2xlarge" || fail "c5.2xlarge has no '$line': $(cat "$MOUNT/instances/c5.2xlarge")"
	done
	grep -qE '^priceSpot 0\.[0-9]+$' "$MOUNT/instances/c5.2xlarge" || fail "no spot price"
	grep -qE '^zone .+' "$MOUNT/instances/c5.2xlarge" || fail "no zone"
}

test_no_image() {
	if { mkdir "$MOUNT/images/bad name"; } 2>/dev/null; then fail "a bad name was accepted"; fi
	mkdir "$MOUNT/images/empty"
	assert_equal empty "$(<"$MOUNT/images/empty/status")" status
	if { echo "import /no/such/root" >"$MOUNT/images/empty/ctl"; } 2>/dev/null; then
		wait_for 10 grep -q failed "$MOUNT/images/empty/status" || fail "status is $(<"$MOUNT/images/empty/status")"
	else
		[[ $(<"$MOUNT/error") == *' '*' '* ]] || fail "no sentence: $(<"$MOUNT/error")"
	fi
	rmdir "$MOUNT/images/empty"
}

test_everything_can_be_read() { # and none of it hangs
	local path
	mkdir "$MOUNT/jobs/draft"
	while read -r path; do
		[[ ! -f $path || ! -r $path || $path == */ctl ]] || timeout 5 cat "$path" >/dev/null || {
			[[ $path == */wait ]] || fail "$path cannot be read"
		}
	done < <(find "$MOUNT" -not -path '*/instances/*')
	rmdir "$MOUNT/jobs/draft"
}
