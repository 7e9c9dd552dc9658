# shellcheck shell=bash
# Every writable file against every way of writing: right and wrong values, empty, long, with NUL, two lines, in the
# wrong state, by the wrong user. Which files there are is read off the tree; a new one must be given its values here.

timeout=240
writers=(bash dash busybox tee cp dd python)

# Of a control: what is right in a running job (images and hosts: there), what is wrong, and the sentence of that.
declare -A right=([ctl]='signal CONT' [migrate]=c5.large [host:ctl]=reclaim)
declare -A wrong=([ctl]=explode [migrate]=c5.gigantic [image:ctl]='import /no/such/root' [host:ctl]=explode)
declare -A sentence=([ctl]='*explode*' [migrate]='*c5.gigantic*' [image:ctl]='*no/such/root*' [host:ctl]='*explode*')
# Of a setting: what is right, what `start` refuses and its sentence ('' : any text will do).
declare -A setting=([name]='a name' [image]=small [instance]=c5.large [script]=$'#!/bin/sh\ntrue' [args]=one
	[env]=A=1 [volumes]='[size=1]:/data' [tags]=key:value [policy]='vmPolicy [onDemand=true]')
declare -A refused=([name]=$'two\nlines' [image]=no-such [instance]=c5.gigantic [script]='' [args]=''
	[env]='1A=1' [volumes]='[size=0]:/data' [tags]='' [policy]='vmPolicy nonsense')

values_of_images() {
	right[image:ctl]="import $DIR/matrix.tar"
}

setup() {
	start_daemon
	import_small_root
	make_root "$DIR/matrix"
	tar -C "$DIR/matrix" -cf "$DIR/matrix.tar" .
}

# Writes what stands in $DIR/value, as a user would; what is said goes to $DIR/said.
write_by() { # WRITER FILE
	local shell as=()
	[[ -z ${user:-} ]] || as=(setpriv --reuid="$user" --regid="$user" --clear-groups)
	case $1 in
	bash | dash | busybox)
		shell=$1
		[[ $1 != busybox ]] || shell='busybox sh'
		# shellcheck disable=SC2086 # words
		LC_ALL=C "${as[@]}" $shell -c 'printf "$(cat "$2")" >"$1"' - "$2" "$DIR/format"
		;;
	tee) LC_ALL=C "${as[@]}" tee "$2" <"$DIR/value" >/dev/null ;;
	cp) LC_ALL=C "${as[@]}" cp "$DIR/value" "$2" ;;
	dd) LC_ALL=C "${as[@]}" dd if="$DIR/value" of="$2" bs=64k conv=notrunc status=none ;;
	python) "${as[@]}" python3 -c 'import os,sys
data=open(sys.argv[2],"rb").read()
assert os.write(os.open(sys.argv[1],os.O_WRONLY),data)==len(data)' "$2" "$DIR/value" ;;
	esac 2>"$DIR/said"
}

value() { # FORMAT, as printf takes it: what write_by writes
	printf '%s' "$1" >"$DIR/format"
	# shellcheck disable=SC2059
	printf "$1" >"$DIR/value"
}

accepted_by() { # WRITER FILE
	write_by "$1" "$2" || fail "$1 to ${2#"$MOUNT/"}: '$(<"$DIR/format")' was refused: $(<"$DIR/said")"
}

refused_by() { # WRITER FILE ERRNO-TEXT [SENTENCE-PATTERN]
	local text=$3 place
	if write_by "$1" "$2"; then fail "$1 to ${2#"$MOUNT/"}: '$(head -c 80 "$DIR/format")' was accepted"; fi
	# What dash and busybox say of a write's error is their own.
	[[ $1 == dash || $1 == busybox ]] || grep -q "$text" "$DIR/said" ||
		fail "$1 to ${2#"$MOUNT/"}: '$(head -c 80 "$DIR/format")' gave '$(tail -n 1 "$DIR/said")', not $text"
	[[ -n ${4:-} ]] || return 0
	place=$(dirname "$2")/error
	[[ -e $place ]] || place=$MOUNT/error
	assert_match "$4" "$(<"$place")" "sentence of $1 to ${2#"$MOUNT/"}"
}

control_key() { # FILE: its key in the tables
	case $1 in
	"$MOUNT"/images/*) echo image:ctl ;;
	"$MOUNT"/hosts/*) echo host:ctl ;;
	*) basename "$1" ;;
	esac
}

state_of_control() { # FILE: what must not change when it refuses
	case $1 in
	"$MOUNT"/jobs/*) cat "$dir/status" "$dir/migrate" && host ;;
	*) cat "$(dirname "$1")/status" ;;
	esac
}

control_refuses() { # FILE: whatever is wrong about a command
	local file=$1 key writer before
	key=$(control_key "$file")
	before=$(state_of_control "$file")
	for writer in "${writers[@]}"; do
		value "${wrong[$key]}\n"
		refused_by "$writer" "$file" . "${sentence[$key]}"
		value '\n'
		refused_by "$writer" "$file" 'Invalid argument' '*empty*'
		value "$(printf '%05120d' 0)"
		refused_by "$writer" "$file" 'Invalid argument'
		value 'a\0b'
		refused_by "$writer" "$file" 'Invalid argument' '*NUL*'
		# bash writes each line by itself: two commands.
		value 'explode\nexplode\n'
		if [[ $writer == bash ]]; then refused_by bash "$file" .; else refused_by "$writer" "$file" . '*one line*'; fi
		user=65534
		value "${right[$key]}\n"
		refused_by "$writer" "$file" 'Permission denied'
		user=''
		assert_equal "$before" "$(state_of_control "$file")" "state after the refusals of $file by $writer"
	done
}

run_job() {
	submit <<<$'#!/bin/sh\necho up\nsleep 1000'
	wait_line "$dir/output" up
}

test_all_writable_files_are_known() {
	local path name
	values_of_images
	run_job
	mkdir "$MOUNT/jobs/new"
	while read -r path; do
		name=$(basename "$path")
		case $path in
		*/secrets/*) continue ;;
		*/ctl | */migrate) [[ -n ${right[$(control_key "$path")]:-} ]] || fail "no values for the control $path" ;;
		*) [[ -n ${setting[$name]+known} ]] || fail "no values for the setting $path" ;;
		esac
	done < <(find "$MOUNT" -path '*/files' -prune -o -type f -perm /222 -not -path '*/log/*' -print)
	for name in "${!setting[@]}"; do
		[[ -f $MOUNT/jobs/new/$name ]] || fail "there is no setting $name"
	done
}

test_controls_of_a_job() {
	local name writer
	run_job
	for name in ctl migrate; do
		control_refuses "$dir/$name"
		for writer in "${writers[@]}"; do
			value "${right[$name]}\n"
			accepted_by "$writer" "$dir/$name"
			wait_for 60 status_is Executing || fail "it is $(<"$dir/status")"
		done
		: >"$dir/$name" # O_TRUNC alone is no command
	done
	assert_equal "$((${#writers[@]}))" "$(info migrations)" "migrations, one for each writer"
}

test_controls_of_a_host() {
	local writer
	run_job
	control_refuses "$MOUNT/hosts/$(host)/ctl"
	for writer in "${writers[@]}"; do
		value "${right[host:ctl]}\n"
		accepted_by "$writer" "$MOUNT/hosts/$(host)/ctl"
		wait_for 60 status_is Executing || fail "it is $(<"$dir/status")"
	done
	assert_equal "$((${#writers[@]}))" "$(info migrations)" "migrations, one for each writer"
}

test_controls_of_an_image() {
	local writer
	values_of_images
	mkdir "$MOUNT/images/refuses"
	control_refuses "$MOUNT/images/refuses/ctl"
	rmdir "$MOUNT/images/refuses"
	for writer in "${writers[@]}"; do
		mkdir "$MOUNT/images/by-$writer"
		value "${right[image:ctl]}\n"
		accepted_by "$writer" "$MOUNT/images/by-$writer/ctl"
		wait_for 30 grep -qx ready "$MOUNT/images/by-$writer/status" || fail "$(<"$MOUNT/images/by-$writer/status")"
		rmdir "$MOUNT/images/by-$writer"
	done
}

test_controls_in_the_wrong_state() {
	local name writer state
	mkdir "$MOUNT/jobs/draft"
	submit <<<$'#!/bin/sh\ntrue'
	wait_end
	for state in "$MOUNT/jobs/draft" "$dir"; do
		for name in ctl migrate; do
			value "${right[$name]}\n"
			for writer in "${writers[@]}"; do
				refused_by "$writer" "$state/$name" 'not supported' '*status*'
			done
		done
	done
	assert_equal Draft "$(<"$MOUNT/jobs/draft/status")" "status of the draft"
	assert_equal Completed "$(<"$dir/status")" "status of the ended job"
}

# Any text is taken and read back; what is wrong with it `start` says.
test_settings() {
	local name writer text draft=$MOUNT/jobs/settings
	mkdir "$draft"
	for name in "${!setting[@]}"; do
		for writer in "${writers[@]}"; do
			for text in "${setting[$name]}" $'two\nlines' "$(printf '%05120d' 0)"; do
				: >"$draft/$name" # dd does not truncate
				value "${text//$'\n'/\\n}\n"
				accepted_by "$writer" "$draft/$name"
				cmp "$DIR/value" "$draft/$name" || fail "$name by $writer reads back as something else"
			done
			: >"$draft/$name"
			user=65534
			refused_by "$writer" "$draft/$name" 'Permission denied'
			user=''
			[[ ! -s $draft/$name ]] || fail "$name was written by another user"
		done
	done
}

test_settings_that_start_refuses() {
	local name other draft=$MOUNT/jobs/refused
	mkdir "$draft"
	for name in "${!setting[@]}"; do
		for other in "${!setting[@]}"; do
			printf '%s\n' "${setting[$other]}" >"$draft/$other"
		done
		printf 'a\0b\n' >"$draft/$name"
		# A script is a program: any bytes.
		[[ $name == script ]] || assert_refused EINVAL "$draft/ctl" start "*$name*"
		[[ -n ${refused[$name]} ]] || continue
		printf '%s\n' "${refused[$name]}" >"$draft/$name"
		if { echo start >"$draft/ctl"; } 2>/dev/null; then fail "it was started with $name ${refused[$name]}"; fi
		assert_match "*${name%s}*" "$(<"$draft/error")" "the sentence about $name"
		assert_equal Draft "$(<"$draft/status")" status
	done
}

test_settings_of_a_running_job() {
	local name writer before
	run_job
	for name in "${!setting[@]}"; do
		[[ $name != policy ]] || continue
		before=$(sha256sum <"$dir/$name")
		value 'changed\n'
		for writer in "${writers[@]}"; do
			refused_by "$writer" "$dir/$name" 'Read-only file system'
		done
		assert_equal "$before" "$(sha256sum <"$dir/$name")" "$name"
	done
}

test_secrets() {
	local writer
	for writer in "${writers[@]}"; do
		value 'a value\n'
		: >"$MOUNT/secrets/by-$writer"
		accepted_by "$writer" "$MOUNT/secrets/by-$writer"
		user=65534
		refused_by "$writer" "$MOUNT/secrets/by-$writer" 'Permission denied'
		user=''
		submit -e "A={secret:by-$writer}" <<<$'#!/bin/sh\necho "$A"'
		wait_end
		assert_equal 'a value' "$(<"$dir/output")" "what $writer wrote"
		rm "$MOUNT/secrets/by-$writer"
	done
}
