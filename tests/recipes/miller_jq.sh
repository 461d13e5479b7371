#!/usr/bin/env bash
# Runs the recipes for Miller and jq: nested JSON in, a filtered list in, a mailing list out.
# Installs miller and jq of Debian.

source "$(dirname "$0")/lib.sh"
need mlr miller
need jq jq
block jq.sh
block miller.sh

cat > shop.json <<'JSON'
{"events": [
  {"kind": "click", "user": {"mail": "kim@example.com"}, "campaign": "Hoodie", "via": "Web"},
  {"kind": "purchase", "user": {"mail": "wren@example.net"}, "campaign": "Hoodie", "cart": [{"id": "6"}, {"id": "14"}], "total": "42.00"},
  {"kind": "click", "user": {"mail": "wren@example.net"}, "campaign": "Hoodie", "via": "Web"},
  {"kind": "click", "user": {"mail": "wren@example.net"}, "campaign": "Hoodie", "via": "Web"}
]}
JSON
cat > customers.csv <<'CSV'
id,email,country
1,kim@example.com,CH
2,lee@example.org,DE
CSV
bash jq.sh > emails.txt
printf 'kim@example.com\nwren@example.net\n' | expect emails.txt

printf 'email,conversion\nlee@example.org,click\nkim@example.com,click\n' > log.csv
bash miller.sh > codes.txt
expect codes.txt <<'OUT'
Send additional promo code to: lee@example.org, False
Send additional promo code to: kim@example.com, True
OUT
echo "$0: passed"
