#!/usr/bin/env bash
# Runs the recipes for Kafka with kcat: a topic in, a topic out, and live.
# Installs kcat and jq of Debian, and confluent-kafka from PyPI, whose mock cluster is the broker.

source "$(dirname "$0")/lib.sh"
need kcat kcat
need jq jq
need_python confluent-kafka
block kafka-night.sh
block kafka-live.sh
block kafka-restart.sh

cat > broker.py <<'PY'
import time
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
broker = next(iter(cluster.list_topics(timeout=20).brokers.values()))
print(f"{broker.host}:{broker.port}", flush=True)
time.sleep(120)
PY
python broker.py > broker.txt &
broker=$!
live=
trap 'kill $broker $live 2> /dev/null || true; rm -rf "$scratch"' EXIT
wait_for test -s broker.txt
BROKER=$(cat broker.txt)
export BROKER

echo 'email,gender
kim@example.com,F' > list.csv
send() { jq -r '[.email, tojson] | join("\t")' | kcat -P -b "$BROKER" -t conversions -K '\t'; }
send <<'JSON'
{"ts": 1772359200, "conversion": "click", "email": "kim@example.com", "where": "Web"}
{"ts": 1772359260, "conversion": "purchase", "email": "wren@example.net", "items": ["6"], "total_cost": "42.00"}
{"ts": 1772359320, "conversion": "click", "email": "wren@example.net", "where": "Web"}
JSON

sh -eu kafka-night.sh
kcat -C -q -b "$BROKER" -t codes -o beginning -e -K ' ' | cut -d ' ' -f 1 | sort > keys.txt
printf 'kim@example.com\nwren@example.net\n' | expect keys.txt

: > live.txt
codes() { kcat -C -q -b "$BROKER" -t live-codes -o beginning -e | jq -r .email | sort > live.txt; }
setsid bash kafka-live.sh &
live=-$!
sleep 5
send <<< '{"ts": 1772359380, "conversion": "click", "email": "kim@example.com"}'
arrived() { codes; [ -s live.txt ]; }
wait_for arrived
kill -- "$live"
live=
expect live.txt <<< kim@example.com

bash kafka-restart.sh | jq -r .email | sort > restarted.txt
printf 'kim@example.com\nwren@example.net\n' | expect restarted.txt
echo "$0: passed"
