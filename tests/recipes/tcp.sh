#!/usr/bin/env bash
# Runs the recipes for TCP ports on the loopback address: two sources that listen, and a sink, with nc and with socat.
# Installs netcat-openbsd and socat of Debian. Needs the ports 7002, 7010 and 7011.

source "$(dirname "$0")/lib.sh"
need socat socat
need nc netcat-openbsd
nc -h 2>&1 | grep -q OpenBSD || fail "nc is not that of netcat-openbsd"
block tcp-nc.sh
block tcp-socat.sh

printf 'kim@example.com, , , F\n' > loyalty.txt
printf '%s\n' 'Hoodie, ClickConversion, kim@example.com, Web' 'Hoodie, ClickConversion, wren@example.net, Web' > conversions.txt
expected='Send additional promo code to: kim@example.com, True
Send additional promo code to: wren@example.net, False'

listening() { ss -ltn 2> /dev/null | grep -q "127.0.0.1:$1 " || grep -qi "$(printf '0100007F:%04X 00000000:0000 0A' "$1")" /proc/net/tcp; }
# send PORT: sends standard input to a source, and closes the connection.
send() { wait_for listening "$1"; socat -u - "TCP:127.0.0.1:$1"; }
# run SCRIPT CONVERT: sends both inputs through CONVERT, and keeps what the sink receives.
run() {
  socat -u TCP-LISTEN:7002,bind=127.0.0.1,reuseaddr "CREATE:received.txt" &
  sink=$!
  wait_for listening 7002
  SINK=127.0.0.1 timeout 60 bash "$1" &
  adseg=$!
  $2 < conversions.txt | send 7011 &
  $2 < loyalty.txt | send 7010
  wait $adseg || fail "$1 failed"
  wait $sink
  expect received.txt <<< "$expected"
  rm received.txt
}
run tcp-nc.sh cat
run tcp-nc.sh "adseg frame -"
run tcp-socat.sh cat
run tcp-socat.sh "adseg frame -"
echo "$0: passed"
