#!/usr/bin/env bash
# Runs the recipes for DuckDB: Parquet in and out, Excel, sorting by time, and the control group of a policy.
# Installs duckdb-cli, its Excel extension and openpyxl from PyPI.

source "$(dirname "$0")/lib.sh"
need_python duckdb-cli==1.5.5 duckdb-extension-excel==1.5.5 openpyxl
block duckdb-parquet.sh
block duckdb-excel.sh
block duckdb-sort.sh
block duckdb-holdout.sh

# DuckDB downloads extensions when they are needed; here the package has the extension.
export HOME="$scratch/home"
extensions="$HOME/.duckdb/extensions/v1.5.5/$(duckdb -noheader -list -c 'PRAGMA platform')"
mkdir -p "$extensions"
cp "$scratch"/venv/lib/python3*/site-packages/duckdb_extension_excel/extensions/v1.5.5/* "$extensions"

duckdb -c "
  COPY (SELECT * FROM (VALUES ('kim@example.com', 'F'), ('lee@example.org', NULL)) AS t(email, gender)) TO 'customers.parquet';
  COPY (SELECT * FROM (VALUES
    (1, TIMESTAMPTZ '2026-03-01 10:00:00+00', 'click', 'kim@example.com', NULL, NULL),
    (3, TIMESTAMPTZ '2026-03-01 12:00:00+00', 'click', 'wren@example.net', NULL, NULL),
    (2, TIMESTAMPTZ '2026-03-01 12:00:00+00', 'purchase', 'wren@example.net', ['6', '14'], 42.10::DECIMAL(9, 2))
  ) AS t(id, happened_at, conversion, email, items, total_cost)) TO 'events.parquet'" > /dev/null
sh -eu duckdb-parquet.sh
duckdb -list -noheader -c "SELECT email, conversion, items, total_cost, send FROM 'decisions.parquet'" > loaded.txt
expect loaded.txt <<'OUT'
kim@example.com|ClickConversion|NULL|NULL|true
wren@example.net|PurchaseConversion|[6, 14]|42.1|false
wren@example.net|ClickConversion|NULL|NULL|true
OUT

python - <<'PY'
import openpyxl
book = openpyxl.Workbook()
for row in [["Customer", "Mail"], ["Kim", "kim@example.com"], ["Lee", "lee@example.org"]]:
    book.active.append(row)
book.save("crm.xlsx")
PY
echo 'Hoodie, ClickConversion, lee@example.org, Web' > log.txt
sh -eu duckdb-excel.sh > codes.txt
expect codes.txt <<< 'Send additional promo code to: lee@example.org, True'

cat > log.csv <<'CSV'
ts,email,conversion,items,total_cost
2026-03-01T12:30:00+01:00,wren@example.net,click,,
2026-03-01 11:00:00Z,wren@example.net,purchase,007,42.00
2026-03-01T12:15:00+01:00,wren@example.net,page_view,,
2026-03-01 11:30:00Z,wren@example.net,basket,[8],
CSV
sh -eu duckdb-sort.sh
expect sorted.csv <<'OUT'
ts,email,conversion,items,total_cost
2026-03-01 11:00:00Z,wren@example.net,purchase,007,42.00
2026-03-01T12:15:00+01:00,wren@example.net,page_view,,
2026-03-01T12:30:00+01:00,wren@example.net,click,,
2026-03-01 11:30:00Z,wren@example.net,basket,[8],
OUT
adseg run --loyalty customers.parquet --conversions sorted.csv 2> refused.txt && fail "a Parquet file was read"
grep -q 'a Parquet file; convert it' refused.txt || fail "no remedy for Parquet: $(cat refused.txt)"

control_group
sh -eu duckdb-holdout.sh | LC_ALL=C sort > group.txt
expect group.txt < held-out.txt
echo "$0: passed"
