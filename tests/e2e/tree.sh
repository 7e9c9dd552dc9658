# shellcheck shell=bash
# The tree itself: what is the same whatever the jobs do.

setup() {
	start_daemon
}

test_top() {
	local name
	for name in README jobs hosts instances images; do
		[[ -e $MOUNT/$name ]] || fail "there is no $name"
	done
	grep -q migrate "$MOUNT/README" || fail "README does not say how to use the tree"
	assert_equal '' "$(ls "$MOUNT/jobs")" jobs
	assert_equal '' "$(ls "$MOUNT/hosts")" hosts
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
