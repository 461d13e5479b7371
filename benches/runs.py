"""Runs commands in turn, and measures time and peak memory of each process.

parts.py defines the commands and the targets.
"""

import hashlib
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass
class Row:
    """One command. `shown` is the command for a shell; $D is the folder of the data."""

    name: str
    shown: str
    argv: list
    stdin: Path | None = None
    # Receives the standard output; None is /dev/null.
    stdout: Path | None = None
    # A file that the command writes itself.
    writes: Path | None = None
    runs: int = 1
    # Whether it decides the conversions, so its decisions can be checked.
    decisions: bool = True
    seconds: list = field(default_factory=list)
    peaks: list = field(default_factory=list)
    # Processor time of all threads, in seconds.
    cpus: list = field(default_factory=list)
    # Called before each run, outside the measured time.
    prepare: Callable | None = None

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def cpu(self):
        return statistics.median(self.cpus)

    @property
    def peak(self):
        """The maximum peak memory of all runs, in bytes."""
        return max(self.peaks)

    def run(self):
        """Runs the command once, into a new file. Returns seconds, peak memory in bytes and processor time."""
        for made in (self.stdout, self.writes):
            if made:
                made.unlink(missing_ok=True)
        if self.prepare:
            self.prepare()
        argv = [str(word) for word in self.argv]
        out_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        redirects = [
            (os.POSIX_SPAWN_OPEN, 0, str(self.stdin or os.devnull), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.stdout or os.devnull), out_flags, 0o644),
        ]
        began = time.perf_counter()
        process = os.posix_spawnp(argv[0], argv, os.environ, file_actions=redirects)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - began
        if status != 0:
            sys.exit(f"compare.py: command failed: {' '.join(argv)}")
        return seconds, usage.ru_maxrss * RSS_UNIT, usage.ru_utime + usage.ru_stime

    def digest(self, scratch):
        """Runs the command once, with `scratch` instead of /dev/null, and returns the SHA-256 of its decisions."""
        redirected = self.stdout
        if not (self.stdout or self.writes):
            self.stdout = scratch
        self.run()
        decisions = self.writes or self.stdout
        digest = sha256(decisions)
        decisions.unlink()
        self.stdout = redirected
        return digest


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


def check(rows, expected, scratch):
    """Runs every row once, which is also the warm-up, and exits unless its decisions are the expected bytes."""
    for row in rows:
        if not row.decisions:
            row.run()
        elif row.digest(scratch) != expected:
            sys.exit(f"compare.py: decisions differ from those of plain Python: {row.shown}")


def measure(rows):
    """Runs the rows in turn, so other load on the machine affects all of them equally."""
    rounds = max(row.runs for row in rows)
    for turn in range(rounds):
        for row in rows:
            # The runs of a row with fewer runs are spread over the rounds.
            if turn * row.runs // rounds < (turn + 1) * row.runs // rounds:
                seconds, peak, cpu = row.run()
                row.seconds.append(seconds)
                row.peaks.append(peak)
                row.cpus.append(cpu)
                for made in (row.stdout, row.writes):
                    if made:
                        made.unlink()


def own_peak():
    """The peak memory of this script, where the count for a child begins: less than this cannot be measured."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def apart(function, *args):
    """Calls the function in a process of its own, so its memory does not count for the commands that are measured."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
