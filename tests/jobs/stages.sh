#!/usr/bin/env bash
# A job of two stages: it counts up, and asks for a bigger machine on the way.
#
#   stages.sh LOG-PATH [LAST [MOVE-AT [SECONDS-AFTER-THE-MOVE [SECONDS-EACH]]]]
#
# Prints the same lines as the documented example, whose numbers are the defaults.
log=$1/output last=${2:-299} move_at=${3:-50} after=${4:-20} each=${5:-1}

: >>"$log"
exec >"$log" 2>&1
echo "Starting to execute shell script"
echo "Job migrates when count reaches $move_at"
for ((n = 1; n <= last; n++)); do
	case $((n % 3)) in
	0) echo "$n is a multiple of three" ;;
	*) echo "$n is NOT a multiple of three" >&2 ;;
	esac
	if ((n == move_at)); then
		/opt/memverge/bin/float migrate -f --instType c5.2xlarge
		echo "Job migration initiated, wait for a while"
		sleep "$after"
	fi
	sleep "$each"
done
echo "Job is complete"
