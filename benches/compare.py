#!/usr/bin/env python3
"""Compares the speed of adseg with other programs that do the same job, and checks that all write the same bytes.

parts.py defines the parts of the comparison and their targets, with comparison.py. data.py writes data, runs.py runs
and measures commands, report.py renders the tables, machine.py describes the machine. The other programs are in
yardsticks/. Needs Python 3.10 or later and Rust, and uses mawk, gzip and zstd if they are installed. Polars and DuckDB
are installed into a virtual environment below target/.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from comparison import Comparison
from machine import machine, versions
from parts import PARTS
from report import publish, report


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A quick look: compare.py --events 100000 --members 10000 --customers 50000 --runs 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--events", type=int, default=10_000_000, help="conversions (default: 10 million)")
    add("--members", type=int, default=1_000_000, help="rows of the loyalty list (default: 1 million)")
    add("--customers", type=int, default=5_000_000, help="distinct customers (default: 5 million)")
    add("--runs", type=int, default=7, help="runs of each command (default: 7)")
    add("--slow-runs", type=int, default=3, help="runs of the slow commands: mawk, plain Python (default: 3)")
    add("--long", action="store_true", help="also measure ten times the data, if there is space")
    add("--dir", type=Path, help="write the data into a temporary folder in DIR (default: /dev/shm if it exists)")
    add("--adseg", type=Path, help="measure this program instead of a release build of this project")
    add("--before", type=Path, metavar="ADSEG", help="also measure this earlier adseg against the present one")
    add("--without", action="append", default=[], choices=["polars", "duckdb", "python", "mawk"],
        help="leave out this program; all outputs are still compared with that of plain Python")
    add("--only", action="append", default=[], choices=PARTS,
        help="measure only this part; may be repeated")
    add("--write", action="store_true", help="write the results into benches/RESULTS.md")
    args = parser.parse_args()
    if "before" in args.only and not args.before:
        parser.error("--only before needs --before ADSEG")
    if args.write and (args.only or args.without):
        parser.error("--write needs the complete comparison, without --only and --without")
    return args


def main():
    args = arguments()
    parts = [part for part in PARTS if (part in args.only if args.only else part != "before" or args.before)]
    # SIGTERM must remove the data, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = args.dir or (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
    with tempfile.TemporaryDirectory(prefix="adseg-compare-", dir=base) as folder:
        comparison = Comparison(args, Path(folder), parts)
        comparison.start()
        for part in parts:
            PARTS[part](comparison)
        about = machine(folder) + versions(comparison.adseg, comparison.data_frames)
    measured = report(args, about, comparison)
    print(measured)
    if args.write:
        publish(Path(__file__).resolve().parent / "RESULTS.md", measured)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
