# Sourced by the scripts in this folder. Each script runs commands of docs/recipes.md and docs/policy.md with the programs
# that they need, and fails if an output is wrong. `cargo test` does not run them, because they install those programs.
#
# usage: tests/recipes/NAME.sh [ADSEG]      the default is target/release/adseg

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
adseg=$(realpath "${1:-$root/target/release/adseg}")
[ -x "$adseg" ] || { echo "$adseg does not exist; build it with cargo build --release" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir bin
ln -s "$adseg" bin/adseg
export PATH="$scratch/bin:$PATH"

fail() {
  echo "$0: FAILED: $*" >&2
  exit 1
}

# need PROGRAM PACKAGE: installs the package of Debian that has the program, if the program is missing.
need() {
  command -v "$1" > /dev/null && return
  apt-get install -y --no-install-recommends "$2" > /dev/null || fail "cannot install $2; try apt-get update"
}

# need_python PACKAGE…: installs packages of PyPI into a virtual environment, whose programs precede all others.
need_python() {
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
  export PATH="$scratch/bin:$scratch/venv/bin:$PATH"
}

# block NAME: writes the block of docs/recipes.md or docs/policy.md with this name to the file NAME.
block() {
  awk -v name="$1" '/^```/ { inside = ($0 == "```sh " name); next } inside' "$root"/docs/{recipes,policy}.md > "$1"
  [ -s "$1" ] || fail "no page has a block $1"
}

# control_group: writes customers.csv, and the customers that adseg puts into the control group of docs/policy.md to
# held-out.txt.
control_group() {
  { echo email; seq -f 'C%.0f@Example.com' 2000; printf '%s\n' 'ÉMILE@example.com' 'Émile@EXAMPLE.com' 'ß@example.com'; } > customers.csv
  tail -n +2 customers.csv | sed 's/^/SpringHoodie, ClickConversion, /; s/$/, Web/' > clicks.txt
  awk '/^```/ { inside = ($0 == "```toml spring.toml"); next } inside' "$root/docs/policy.md" > spring.toml
  adseg run --campaign spring.toml --loyalty customers.csv --conversions clicks.txt --output-format csv |
    sed -n 's/.*,ClickConversion,\([^,]*\),.*,held-out,$/\1/p' | LC_ALL=C sort > held-out.txt
  [ "$(wc -l < held-out.txt)" -gt 150 ] || fail "the control group is too small"
}

# expect FILE: fails unless the content of FILE is standard input.
expect() {
  diff -u --label "$1, expected" --label "$1" - "$1" || fail "$1 is wrong"
}

# wait_for COMMAND…: waits up to 20 seconds until the command succeeds.
wait_for() {
  for _ in $(seq 200); do
    "$@" > /dev/null 2>&1 && return
    sleep 0.1
  done
  fail "timed out: $*"
}
