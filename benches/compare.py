#!/usr/bin/env python3
"""Measures adseg beside every other way to do its job, and checks that all of them give the same bytes.

The others stand in yardsticks/. Running and measuring is in runs.py, the tables are in report.py, the machine in
machine.py. Needs Python 3.10 or later and Rust; mawk, gzip and zstd where they are there. Polars and DuckDB are
installed into a virtual environment of their own below target/.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine, versions
from report import Target, publish, report
from runs import MIB, Row, check, measure, sha256

BENCHES = Path(__file__).resolve().parent
PROJECT = BENCHES.parent
YARDSTICKS = BENCHES / "yardsticks"
VENV = PROJECT / "target" / "compare" / "venv"
PACKAGES = ["polars==2.1.0", "duckdb==2.0.0"]
FIXTURE = PROJECT / "fixtures" / "sample"

# What a conversion of `adseg generate` takes, rounded up.
EVENT_BYTES = 75
PARTS = ["yardsticks", "forms", "growth", "start"]


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
    add("--slow-runs", type=int, default=3, help="runs of those that take long: mawk and plain Python (default: 3)")
    add("--long", action="store_true", help="also with ten times the events, members and customers, if there is room")
    add("--dir", type=Path, help="where the data goes, in a folder that is removed (default: /dev/shm if it is there)")
    add("--adseg", type=Path, help="measure this program instead of a release build of this project")
    add("--without", action="append", default=[], choices=["polars", "duckdb", "python", "mawk"],
        help="leave a yardstick out; the answers are checked against plain Python's all the same")
    add("--only", action="append", default=[], choices=PARTS,
        help="measure only this part")
    add("--write", action="store_true", help="put what was measured into benches/RESULTS.md")
    args = parser.parse_args()
    if args.write and (args.only or args.without):
        parser.error("--write is for the whole comparison, without --only and --without")
    return args


def tell(message):
    print(message, file=sys.stderr, flush=True)


def call(*command, **options):
    try:
        subprocess.run([str(word) for word in command], check=True, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compare.py: {error}")


class Comparison:
    """The parts of the comparison. Each adds its rows to a table, and the targets that they are held to."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.tables, self.targets, self.made = [], [], []
        self.adseg = args.adseg.resolve() if args.adseg else self.build()
        self.loyalty, self.conversions = self.path("loyalty.txt"), self.path("conversions.txt")
        self.scratch = self.path("answers.txt")
        wanted = {"polars", "duckdb"} - set(args.without) and self.wants("yardsticks")
        self.data_frames = self.install() if wanted else None

    def wants(self, part):
        return not self.args.only or part in self.args.only

    def path(self, name):
        return self.folder / name

    def build(self):
        call("cargo", "build", "--release", "--quiet", cwd=PROJECT)
        return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")).resolve() / "release" / "adseg"

    def install(self):
        """The Python of an environment that holds exactly the packages that are compared."""
        python = VENV / "bin" / "python"
        if not python.exists():
            call(sys.executable, "-m", "venv", VENV)
        call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
        return python

    def run(self):
        size = [self.args.events, self.args.members, self.args.customers]
        self.generate(self.loyalty, self.conversions, *size)
        tell("plain Python says what the answers have to be")
        self.expected = self.plain_python(self.conversions)
        for part in filter(self.wants, PARTS):
            getattr(self, part)()

    # Data.

    def make(self, *argv, into=None):
        """Runs a command that makes data, and remembers how a person would type it."""
        self.made.append(self.typed(argv) + (f" > {self.typed([into])}" if into else ""))
        if into:
            with open(into, "wb") as file:
                call(*argv, stdout=file)
        else:
            call(*argv)

    def generate(self, loyalty, conversions, events, members, customers, **options):
        """Makes a list and conversions up."""
        self.make(self.adseg, "generate", "--loyalty", loyalty, "--conversions", conversions, "--events", events,
                  "--members", members, "--customers", customers, **options)  # fmt: skip

    def typed(self, argv):
        """A command as a person would type it, with $D for the folder of the data."""
        words = " ".join("adseg" if word == self.adseg else str(word) for word in argv)
        return words.replace(str(self.folder), "$D").replace(f"{PROJECT}/", "").replace(sys.executable, "python3")

    def plain_python(self, conversions, loyalty=None):
        """The SHA-256 of the answers that plain Python gives."""
        with open(self.scratch, "wb") as answers:
            call(sys.executable, YARDSTICKS / "campaign.py", loyalty or self.loyalty, conversions, stdout=answers)
        digest = sha256(self.scratch)
        self.scratch.unlink()
        return digest

    # Rows.

    def row(self, name, argv, runs=None, stdin=None, stdout=None, writes=None, answers=True):
        """A row, to /dev/null unless it says otherwise."""
        shown = self.typed(argv) + (f" < {self.typed([stdin])}" if stdin else "")
        if not writes:
            shown += f" > {self.typed([stdout or os.devnull])}"
        return Row(name, shown, argv, stdin, stdout, writes, runs or self.args.runs, answers)

    def adseg_row(self, name, *more, loyalty=None, conversions=None, stdin=None, to_file=False, **options):
        """A run of adseg, to /dev/null unless it is to a file."""
        loyalty, conversions = loyalty or self.loyalty, conversions or [self.conversions]
        argv = [self.adseg, "run", "--loyalty", loyalty, "--conversions", *conversions, *more]
        return self.row(name, argv, stdin=stdin, stdout=self.scratch if to_file else None, **options)

    def table(self, title, rows, expected=None, against=None):
        """Checks and measures rows, and makes a table of them, each compared with the row `against`."""
        tell(f"{title}: answers")
        check(rows, expected or self.expected, self.scratch)
        tell(f"{title}: time and memory")
        measure(rows)
        self.tables.append((title, rows, against or rows[0]))

    def target(self, what, measured, unit, limit, at_least=False):
        self.targets.append(Target(what, measured, unit, limit, at_least))

    # Parts.

    def yardsticks(self):
        """The same job done by others, and the threads of adseg."""
        to_file = self.adseg_row("adseg", to_file=True)
        to_null = self.adseg_row("adseg, to /dev/null")
        one, two = [self.adseg_row(f"adseg, {n} thread{'s'[n < 2:]}, to /dev/null", "--threads", n) for n in (1, 2)]
        cat = self.row("cat", ["cat", self.conversions], stdout=self.scratch, answers=False)
        others = self.others()
        rows = [to_file, to_null, two, one, cat, *others.values()]
        self.table("The same job, the same bytes", rows)

        if "polars" in others:
            self.target("to a file, times as fast as Polars", others["polars"].median / to_file.median, "×", 10, True)
        self.target("to a file, times as long as `cat`", to_file.median / cat.median, "×", 2.5)
        self.target("to /dev/null, million events a second", self.args.events / to_null.median / 1e6, "", 12, True)
        self.target("2 threads, times as fast as 1", one.median / two.median, "×", 1.8, True)
        peak, state = max(row.peak for row in (to_file, to_null)), self.list_at_the_end()
        self.target(f"peak memory beyond the list at the end ({state / MIB:.0f} MiB)", (peak - state) / MIB, " MiB", 64)

    def others(self):
        """Whoever else does the job, as far as it is there and wanted."""
        answers, files, slow = self.scratch, [self.loyalty, self.conversions], self.args.slow_runs
        frames = [self.data_frames, YARDSTICKS / "campaign_polars.py", *files, answers]
        duck = [self.data_frames, YARDSTICKS / "campaign_duckdb.py", *files, answers]
        plain = [sys.executable, YARDSTICKS / "campaign.py", *files]
        mawk = ["mawk", "-f", YARDSTICKS / "campaign.awk", *files]
        rows = {
            "polars": self.row("Polars, streaming engine", frames, writes=answers),
            "duckdb": self.row("DuckDB", duck, writes=answers),
            "python": self.row("plain Python", plain, slow, stdout=answers),
            "mawk": self.row("mawk", mawk, slow, stdout=answers),
        }
        if not shutil.which("mawk"):
            tell("mawk is not there and is left out")
            rows.pop("mawk")
        return {name: row for name, row in rows.items() if name not in self.args.without}

    def list_at_the_end(self):
        """The bytes of the loyalty list as a run saves it: every member's row, the newly enrolled among them."""
        saved = self.path("saved.txt")
        call(self.adseg, "run", "--loyalty", self.loyalty, "--conversions", self.conversions, "-o", os.devnull,
             "--save-loyalty", saved)  # fmt: skip
        size = saved.stat().st_size
        saved.unlink()
        return size

    def forms(self):
        """The same events in other forms: framed, interleaved, packed, and half of them one customer's."""
        self.framed()
        self.interleaved()
        for tool, ending in [("gzip", "gz"), ("zstd", "zst")]:
            if shutil.which(tool):
                self.packed(tool, ending)
            else:
                tell(f"{tool} is not there and is left out")
        self.skewed()

    def framed(self):
        frames = [self.path("loyalty.frames"), self.path("conversions.frames")]
        for lines, framed in zip([self.loyalty, self.conversions], frames):
            self.make(self.adseg, "frame", lines, "-o", framed)
        text = self.adseg_row("text")
        twin = self.adseg_row("framed", loyalty=frames[0], conversions=frames[1:])
        self.table("Framed", [text, twin])
        self.target("framed, times as long as text", twin.median / text.median, "×", 1.3)
        for framed in frames:
            framed.unlink()

    def interleaved(self):
        stream = self.path("stream.txt")
        self.generate("-", "-", self.args.events, self.args.members, self.args.customers, into=stream)
        text = self.adseg_row("two files", answers=False)
        twin = self.adseg_row("the same records in one stream", loyalty="-", conversions=["-"], stdin=stream)
        self.table("Interleaved", [text, twin], expected=interleaved_answers(stream))
        self.target("interleaved, times as long as two files", twin.median / text.median, "×", 1.3)
        stream.unlink()

    def packed(self, tool, ending):
        packed = self.path(f"conversions.txt.{ending}")
        self.make(tool, "-c", self.conversions, into=packed)
        unpack = self.row(f"{tool} -dc", [tool, "-dc", packed], answers=False)
        text, twin = self.adseg_row("text"), self.adseg_row(f"packed with {tool}", conversions=[packed])
        self.table(f"Packed with {tool}", [text, twin, unpack])
        by_text, by_tool = twin.median / text.median, twin.median / unpack.median
        what = f"{tool}, times as long as the slower of text ({by_text:.2f} ×) and `{tool} -dc` ({by_tool:.2f} ×)"
        self.target(what, min(by_text, by_tool), "×", 1.3)
        packed.unlink()

    def skewed(self):
        skewed = self.path("skewed.txt")
        give_half_to_one(self.conversions, skewed)
        self.made.append("# $D/skewed.txt: $D/conversions.txt, every second record with the first one's email")
        even, twin = self.adseg_row("even", answers=False), self.adseg_row("skewed", conversions=[skewed])
        self.table("One customer owns half of all events", [even, twin], expected=self.plain_python(skewed))
        skewed.unlink()

    def growth(self):
        """Ten times as much: of everything, and of the log alone."""
        tenth = [max(1, count // 10) for count in (self.args.events, self.args.members, self.args.customers)]
        small = [self.path("loyalty-tenth.txt"), self.path("conversions-tenth.txt")]
        self.generate(*small, *tenth)
        row = self.adseg_row("a tenth of all", loyalty=small[0], conversions=small[1:], answers=False)
        check([self.adseg_row("", loyalty=small[0], conversions=small[1:])],
              self.plain_python(small[1], small[0]), self.scratch)  # fmt: skip
        all_of_it = self.adseg_row("all")
        # Nothing is expected of the log ten times over: no yardstick has the patience.
        over = self.adseg_row("the log ten times over", conversions=[self.conversions] * 10, answers=False,
                              runs=self.args.slow_runs)  # fmt: skip
        self.table("Ten times as much", [all_of_it, row, over])
        self.target("ten times events, members and customers, times as long", all_of_it.median / row.median, "×", 10.5)
        self.target("the log ten times over, times as long", over.median / all_of_it.median, "×", 10.5)
        self.target("the log ten times over, times the peak memory", over.peak / all_of_it.peak, "×", 1.05)
        for path in small:
            path.unlink()
        if self.args.long:
            self.long()

    def long(self):
        """Ten times the events, members and customers, as files."""
        events = self.args.events * 10
        if shutil.disk_usage(self.folder).free < events * EVENT_BYTES * 1.3:
            tell("there is no room for ten times the events; left out")
            return
        large = [self.path("loyalty-tenfold.txt"), self.path("conversions-tenfold.txt")]
        self.generate(*large, events, self.args.members * 10, self.args.customers * 10)
        row = self.adseg_row("ten times all", loyalty=large[0], conversions=large[1:], answers=False,
                             runs=self.args.slow_runs)  # fmt: skip
        all_of_it = self.adseg_row("all")
        self.table("Ten times as much again", [all_of_it, row])
        self.target(f"{events:,} events, times as long as a tenth of all", row.median / all_of_it.median, "×", 10.5)
        for path in large:
            path.unlink()

    def start(self):
        """What a run costs that has nothing to do."""
        runs = 30 * self.args.runs
        sample = [FIXTURE / "loyalty.txt", FIXTURE / "conversions.txt"]
        tiny = self.adseg_row("a few lines", loyalty=sample[0], conversions=sample[1:], runs=runs)
        usage = self.row("--help", [self.adseg, "--help"], runs, answers=False)
        self.table("Start to exit", [tiny, usage], expected=self.plain_python(sample[1], sample[0]))
        self.target("a few lines, start to exit", tiny.median * 1000, " ms", 10)
        self.target("--help, start to exit", usage.median * 1000, " ms", 5)


def interleaved_answers(stream):
    """The SHA-256 of the answers to a stream of members and conversions, worked out one by one."""
    digest, members = hashlib.sha256(), set()
    with open(stream, "rb") as records:
        for record in records:
            first, second, third, *_ = record.split(b",", 3)
            kind, email = second.strip(), third.strip()
            if not kind.endswith(b"Conversion"):
                members.add(first.strip())
                continue
            send = kind == b"ClickConversion" and email in members
            if kind == b"PurchaseConversion":
                members.add(email)
            digest.update(b"Send additional promo code to: %b, %b\n" % (email, b"True" if send else b"False"))
    return digest.hexdigest()


def give_half_to_one(conversions, skewed):
    """Copies conversions, every second one as the first one's customer."""
    with open(conversions, "rb") as events, open(skewed, "wb") as out:
        one = None
        for number, event in enumerate(events):
            promo, kind, email, rest = event.split(b",", 3)
            one = one or email
            out.write(b",".join([promo, kind, one if number % 2 else email, rest]))


def main():
    args = arguments()
    # However the script ends, its data goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = args.dir or (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
    with tempfile.TemporaryDirectory(prefix="adseg-compare-", dir=base) as folder:
        comparison = Comparison(args, Path(folder))
        comparison.run()
        about = machine(folder) + versions(comparison.adseg, comparison.data_frames)
    measured = report(args, about, comparison)
    print(measured)
    if args.write:
        publish(BENCHES / "RESULTS.md", measured)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
