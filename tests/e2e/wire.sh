# shellcheck shell=bash
# The wire: no request to an agent is answered without a certificate of the installation.

setup() {
	start_daemon
	import_small_root
}

# In floatfs's network, where the agents are.
request() { # PATH [CURL OPTIONS...]
	local path=$1
	shift
	nsenter --net --target "$(<"$DIR/daemon.pid")" \
		curl -ksS --max-time 5 -o "$DIR/answer" -w '%{http_code}' "$@" "https://$address:7433$path" 2>&1
}

assert_no_answer() { # WHAT; then as request
	local what=$1 said
	shift
	rm -f "$DIR/answer"
	if said=$(request "$@"); then
		[[ ${said: -3} == 401 || ${said: -3} == 403 ]] || fail "$what was answered with ${said: -3}: $(cat "$DIR/answer")"
	fi
	if [[ -s $DIR/answer ]] && grep -q '"host"' "$DIR/answer"; then fail "$what was told: $(cat "$DIR/answer")"; fi
	echo "$what: $said"
}

test_certificates() {
	local address path
	submit <<<$'#!/bin/sh\nsleep 1000'
	wait_status Executing
	address=$(info hostAddress)
	for path in /v1/state "/v1/jobs/$job" /v1/enrol /; do
		assert_no_answer "a request for $path without a certificate" "$path"
	done
	assert_no_answer "a start without a certificate" "/v1/jobs/$job/start" -d '{}'
	# One that somebody made for himself, with the right name in it.
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=floatfs -days 2 \
		-keyout "$DIR/key.pem" -out "$DIR/cert.pem" 2>/dev/null
	assert_no_answer "a request with a certificate of its own making" /v1/state --cert "$DIR/cert.pem" --key "$DIR/key.pem"
	# And nothing in clear text.
	if nsenter --net --target "$(<"$DIR/daemon.pid")" curl -sS --max-time 5 "http://$address:7433/v1/state" | grep -q '"host"'; then
		fail "a request in clear text was answered"
	fi
	status_is Executing || fail "the job is $(<"$dir/status")"
	migrate c5.large
}
