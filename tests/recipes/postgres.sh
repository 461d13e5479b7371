#!/usr/bin/env bash
# Runs the recipes for PostgreSQL: exports with \copy, loads the decisions back, and those of a policy.
# Installs postgresql of Debian, and starts a temporary cluster that it removes.

source "$(dirname "$0")/lib.sh"
need pg_virtualenv postgresql
block postgres.sh
block postgres-pipe.sh
block postgres-digests.sh
block postgres-holdout.sh
control_group

cat > setup.sql <<'SQL'
CREATE TABLE customers (id int, email text, fb_user text, insta_user text, gender text);
INSERT INTO customers VALUES (1, 'kim@example.com', 'Kim, the "Wombat"', NULL, 'F'), (2, 'lee@example.org', NULL, NULL, NULL);
CREATE TABLE events (id int, happened_at timestamptz, type text, promo text, email text, channel text, items int[], total_cost numeric);
INSERT INTO events VALUES
  (1, '2026-03-01 10:00:00.25+01', 'click', 'Hoodie', 'kim@example.com', 'Web', NULL, NULL),
  (4, '2026-03-01 12:00:00+00', 'click', 'Hoodie', 'wren@example.net', 'Web', NULL, NULL),
  (2, '2026-03-01 10:00:00+00', 'page_view', 'Hoodie', 'wren@example.net', NULL, NULL, NULL),
  (3, '2026-03-01 11:00:00+00', 'purchase', 'Hoodie', 'wren@example.net', NULL, '{6,14}', 42.00);
SQL
cat > all.sh <<'SH'
set -eu
psql -q -v ON_ERROR_STOP=1 -f setup.sql
sh -eu postgres.sh
psql -q -t -A -c "SELECT email, conversion, items, total_cost, send, enrolled FROM decisions ORDER BY time" > loaded.txt
bash postgres-pipe.sh > piped.txt
psql -q -c 'DROP TABLE customers'
if bash postgres-pipe.sh > failed.txt 2> failed.err; then echo succeeded > failed.txt; else echo failed > failed.txt; fi
psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE TABLE customers (email text);
\copy customers FROM 'customers.csv' CSV HEADER
CREATE TABLE opted_out AS SELECT ' ' || email AS email FROM customers LIMIT 1000;
SQL
sh -eu postgres-holdout.sh | LC_ALL=C sort > group.txt
sh -eu postgres-digests.sh
SH
PGTZ=Asia/Kolkata pg_virtualenv sh all.sh > log.txt 2>&1 || { cat log.txt >&2; fail "the commands failed"; }

expect loaded.txt <<'OUT'
kim@example.com|ClickConversion|||t|f
wren@example.net|PurchaseConversion|[6;14]|42.00|f|t
wren@example.net|ClickConversion|||t|f
OUT
expect piped.txt <<'OUT'
Send additional promo code to: kim@example.com, True
Send additional promo code to: wren@example.net, False
Send additional promo code to: wren@example.net, True
OUT
expect failed.txt <<< failed
expect group.txt < held-out.txt
adseg run --loyalty customers.csv --conversions clicks.txt --suppress suppressed.txt --output-format csv |
  grep -c ',suppressed,' > count.txt
expect count.txt <<< 1000
echo "$0: passed"
