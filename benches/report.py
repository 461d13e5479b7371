"""Renders the comparison as Markdown, and writes it into RESULTS.md."""

import sys
from dataclasses import dataclass

from runs import MIB, own_peak

BEGIN = "<!-- measured: begin. compare.py writes everything up to the end mark. -->"
END = "<!-- measured: end -->"

# A new page. Text outside the marks is kept.
PAGE = f"# How fast adseg is\n\n{BEGIN}\n{END}\n"


@dataclass
class Target:
    """A target and the measured value."""

    what: str
    measured: float
    unit: str
    limit: float
    at_least: bool

    @property
    def met(self):
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def table(head, rows):
    """A Markdown table. Every column but the first is aligned to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def seconds(value):
    return f"{value * 1000:.2f} ms" if value < 0.1 else f"{value:.3f} s"


def memory(peak):
    """The system counts a process from the memory of its parent, so for a small one only an upper bound is known."""
    floor = own_peak()
    return f"under {floor / MIB:.0f} MiB" if peak <= floor else f"{peak / MIB:,.0f} MiB"


def timings(rows, against):
    head = ["", "median", "fastest", "slowest", f"times {against.name}", "processor", "peak memory", "runs"]
    return table(head, [
        [row.name, seconds(row.median), seconds(min(row.seconds)), seconds(max(row.seconds)),
         f"{row.median / against.median:.2f}", seconds(row.cpu), memory(row.peak), str(len(row.seconds))]
        for row in rows
    ])  # fmt: skip


def target_rows(targets):
    for target in targets:
        bound = "at least" if target.at_least else "at most"
        unit = f" {target.unit}" if target.unit == "×" else target.unit
        yield [target.what, f"{bound} {target.limit:g}{unit}", f"{target.measured:.2f}{unit}",
               "met" if target.met else "**missed**"]  # fmt: skip


def commands(comparison):
    """Every command once, in order of first use."""
    run = (row.shown for _, rows, _ in comparison.tables for row in rows)
    return "\n".join(["```sh", *dict.fromkeys(comparison.made), "", *dict.fromkeys(run), "```"])


def report(args, about, comparison):
    """All results as Markdown."""
    flags = f"--events {args.events} --members {args.members} --customers {args.customers} --runs {args.runs}"
    flags += f" --slow-runs {args.slow_runs}" + (" --long" if args.long else "")
    parts = [
        f"Measured with `benches/compare.py {flags}` on:",
        table(["", ""], about).replace("---:", "---"),
        "## Targets",
        table(["", "target", "measured", ""], target_rows(comparison.targets)),
    ]
    for title, rows, against in comparison.tables:
        parts += [f"## {title}", timings(rows, against)]
    parts += ["## Commands", "`$D` is the folder of the data.", commands(comparison)]
    return "\n\n".join(parts)


def publish(path, measured):
    """Replaces the text between the marks of the page."""
    page = path.read_text() if path.exists() else PAGE
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"compare.py: {path.name} lacks the marks {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}")
