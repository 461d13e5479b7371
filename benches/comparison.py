"""What all parts of the comparison need: data, rows, tables and targets. parts.py defines the parts."""

import os
import subprocess
import sys
from pathlib import Path

from report import Target
from runs import Row, check, measure, sha256

PROJECT = Path(__file__).resolve().parent.parent
YARDSTICKS = PROJECT / "benches" / "yardsticks"
VENV = PROJECT / "target" / "compare" / "venv"
PACKAGES = ["polars==2.1.0", "duckdb==2.0.0"]
FIXTURE = PROJECT / "fixtures" / "sample"


def log(message):
    print(message, file=sys.stderr, flush=True)


def call(*command, **options):
    try:
        subprocess.run([str(word) for word in command], check=True, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compare.py: {error}")


class Comparison:
    """The commands, the tables and the targets. parts.py adds them."""

    def __init__(self, args, folder, parts):
        self.args, self.folder = args, folder
        self.tables, self.targets, self.made = [], [], []
        self.adseg = args.adseg.resolve() if args.adseg else self.build()
        self.earlier = args.before.resolve() if args.before else None
        self.loyalty, self.conversions = self.path("loyalty.txt"), self.path("conversions.txt")
        self.scratch = self.path("decisions.txt")
        wanted = {"polars", "duckdb"} - set(args.without) and {"yardsticks", "exports"} & set(parts)
        self.data_frames = self.install() if wanted else None

    def path(self, name):
        return self.folder / name

    def build(self):
        call("cargo", "build", "--release", "--quiet", cwd=PROJECT)
        return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")).resolve() / "release" / "adseg"

    def install(self):
        """Installs the packages that are compared, and returns the Python of their virtual environment."""
        python = VENV / "bin" / "python"
        if not python.exists():
            call(sys.executable, "-m", "venv", VENV)
        call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
        return python

    def start(self):
        """Writes the data that all parts read, and computes its decisions."""
        self.generate(self.loyalty, self.conversions, self.args.events, self.args.members, self.args.customers)
        log("expected decisions, by plain Python")
        self.expected = self.plain_python(self.conversions)

    # Data.

    def make(self, *argv, into=None):
        """Runs a command that writes data, and records it for the report."""
        self.made.append(self.typed(argv) + (f" > {self.typed([into])}" if into else ""))
        if into:
            with open(into, "wb") as file:
                call(*argv, stdout=file)
        else:
            call(*argv)

    def note(self, path, content):
        """Describes for the report a file that this script writes itself."""
        self.made.append(f"# {self.typed([path])}: {content}")

    def generate(self, loyalty, conversions, events, members, customers, **options):
        """Writes a generated loyalty list and conversions."""
        self.make(self.adseg, "generate", "--loyalty", loyalty, "--conversions", conversions, "--events", events,
                  "--members", members, "--customers", customers, **options)  # fmt: skip

    def typed(self, argv):
        """The command for a shell, with $D for the folder of the data."""
        programs = {self.adseg: "adseg", self.earlier: "adseg-before"}
        words = " ".join(programs.get(word) or str(word) for word in argv)
        return words.replace(str(self.folder), "$D").replace(f"{PROJECT}/", "").replace(sys.executable, "python3")

    def plain_python(self, conversions, loyalty=None):
        """The SHA-256 of the decisions of plain Python."""
        with open(self.scratch, "wb") as decisions:
            call(sys.executable, YARDSTICKS / "campaign.py", loyalty or self.loyalty, conversions, stdout=decisions)
        digest = sha256(self.scratch)
        self.scratch.unlink()
        return digest

    # Rows.

    def row(self, name, argv, runs=None, stdin=None, stdout=None, writes=None, decisions=True):
        """A row that writes to /dev/null by default."""
        shown = self.typed(argv) + (f" < {self.typed([stdin])}" if stdin else "")
        if not writes:
            shown += f" > {self.typed([stdout or os.devnull])}"
        return Row(name, shown, argv, stdin, stdout, writes, runs or self.args.runs, decisions)

    def adseg_row(self, name, *more, loyalty=None, conversions=None, stdin=None, to_file=False, **options):
        """A run of adseg that writes to /dev/null by default."""
        loyalty, conversions = loyalty or self.loyalty, conversions or [self.conversions]
        argv = [self.adseg, "run", "--loyalty", loyalty, "--conversions", *conversions, *more]
        return self.row(name, argv, stdin=stdin, stdout=self.scratch if to_file else None, **options)

    def table(self, title, rows, expected=None, against=None):
        """Checks and measures rows, and adds a table that compares each with the row `against`."""
        log(f"{title}: decisions")
        check(rows, expected or self.expected, self.scratch)
        log(f"{title}: time and memory")
        measure(rows)
        self.tables.append((title, rows, against or rows[0]))

    def target(self, what, measured, unit, limit, at_least=False):
        self.targets.append(Target(what, measured, unit, limit, at_least))
