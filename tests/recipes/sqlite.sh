#!/usr/bin/env bash
# Runs the recipe for SQLite: exports a table, and imports the decisions.
# Installs sqlite3 of Debian.

source "$(dirname "$0")/lib.sh"
need sqlite3 sqlite3
block sqlite.sh

sqlite3 campaign.db "
  CREATE TABLE customers (email, gender); INSERT INTO customers VALUES ('kim@example.com', 'F');
  CREATE TABLE events (id, promo, type, email, items, total_cost);
  INSERT INTO events VALUES (2, 'Hoodie', 'click', 'wren@example.net', NULL, NULL),
    (1, 'Hoodie', 'purchase', 'wren@example.net', '[\"6\",\"14\"]', '42.00'), (3, NULL, 'click', 'kim@example.com', NULL, NULL)"
bash sqlite.sh > codes.txt
printf 'wren@example.net\nkim@example.com\n' | expect codes.txt
echo "$0: passed"
