"""The parts of the comparison. Each is a function that adds tables of rows to a Comparison, and the targets for them.

PARTS at the end lists them in the order in which they run.
"""

import os
import shlex
import shutil
import sys

from comparison import FIXTURE, YARDSTICKS, call, log
from data import give_half_to_one, interleaved_decisions, write_csv, write_first, write_ledger
from runs import MIB, apart, check

# The size of a conversion that `adseg generate` writes, rounded up.
EVENT_BYTES = 75

# The targets of the part `before`: the largest share of the earlier processor time. The others may not be slower.
SHARES = {"text": 0.7, "CSV": 0.5, "to CSV": 0.55, "to JSON Lines": 0.55, "check": 0.5}
NOT_SLOWER = 1.03

# The rules of the part `policy`.
RULES = """once = "promo"

[holdout]
percent = "10"
key = "comparison"
"""


def yardsticks(bench):
    """The same job by other programs, and by adseg on 1 and 2 threads."""
    to_file = bench.adseg_row("adseg", to_file=True)
    to_null = bench.adseg_row("adseg, to /dev/null")
    one, two = [bench.adseg_row(f"adseg, {n} thread{'s'[n < 2:]}, to /dev/null", "--threads", n) for n in (1, 2)]
    cat = bench.row("cat", ["cat", bench.conversions], stdout=bench.scratch, decisions=False)
    peers = others(bench)
    rows = [to_file, to_null, two, one, cat, *peers.values()]
    bench.table("The same job, the same bytes", rows)

    if "polars" in peers:
        bench.target("to a file, times as fast as Polars", peers["polars"].median / to_file.median, "×", 10, True)
    bench.target("to a file, times as long as `cat`", to_file.median / cat.median, "×", 2.5)
    bench.target("to /dev/null, million events a second", bench.args.events / to_null.median / 1e6, "", 12, True)
    bench.target("2 threads, times as fast as 1", one.median / two.median, "×", 1.8, True)
    peak, state = max(row.peak for row in (to_file, to_null)), list_at_the_end(bench)
    bench.target(f"peak memory beyond the list at the end ({state / MIB:.0f} MiB)", (peak - state) / MIB, " MiB", 64)


def others(bench):
    """The other programs that do the job, if they are installed and wanted."""
    files, slow = [bench.loyalty, bench.conversions], bench.args.slow_runs
    plain = [sys.executable, YARDSTICKS / "campaign.py", *files]
    mawk = ["mawk", "-f", YARDSTICKS / "campaign.awk", *files]
    rows = data_frames(bench, bench.conversions) | {
        "python": bench.row("plain Python", plain, slow, stdout=bench.scratch),
        "mawk": bench.row("mawk", mawk, slow, stdout=bench.scratch),
    }
    if not shutil.which("mawk"):
        log("mawk is not installed; left out")
        rows.pop("mawk")
    return {name: row for name, row in rows.items() if name not in bench.args.without}


def data_frames(bench, conversions):
    """Polars and DuckDB, if they are wanted."""
    rows = {}
    for name, shown in [("polars", "Polars, streaming engine"), ("duckdb", "DuckDB")]:
        if name not in bench.args.without:
            script = YARDSTICKS / f"campaign_{name}.py"
            argv = [bench.data_frames, script, bench.loyalty, conversions, bench.scratch]
            rows[name] = bench.row(shown, argv, writes=bench.scratch)
    return rows


def list_at_the_end(bench):
    """The size of the list that a run saves: one row for each member, newly enrolled ones included."""
    saved = bench.path("saved.txt")
    call(bench.adseg, "run", "--loyalty", bench.loyalty, "--conversions", bench.conversions, "-o", os.devnull,
         "--save-loyalty", saved)  # fmt: skip
    size = saved.stat().st_size
    saved.unlink()
    return size


def exports(bench):
    """The same job from CSV with a header row and from JSON Lines."""
    csv, jsonl = bench.path("conversions.csv"), bench.path("conversions.jsonl")
    write_csv(bench.conversions, csv)
    bench.note(csv, "the records of $D/conversions.txt, with a header row")
    exported(bench, "CSV", csv, {"polars": 5})
    csv.unlink()

    bench.make(bench.adseg, "run", "--loyalty", bench.loyalty, "--conversions", bench.conversions, "--output-format",
               "jsonl", into=jsonl)  # fmt: skip
    text, twin = exported(bench, "JSON Lines", jsonl, {"polars": 3, "duckdb": 3})
    bench.target("JSON Lines to a file, times the peak memory of text", twin.peak / text.peak, "×", 1.1)
    jsonl.unlink()


def exported(bench, name, conversions, limits):
    """Compares the programs that read this format. Returns the rows of adseg for text and for this format."""
    twin = bench.adseg_row(f"adseg, {name}", conversions=[conversions], to_file=True)
    text = bench.adseg_row("adseg, text", to_file=True)
    peers = data_frames(bench, conversions)
    bench.table(f"The same job from {name}", [twin, text, *peers.values()])
    for peer, row in peers.items():
        if peer in limits:
            what = f"{name} to a file, times as fast as {row.name.partition(',')[0]}"
            bench.target(what, row.median / twin.median, "×", limits[peer], True)
    return text, twin


def forms(bench):
    """The same events framed, interleaved and compressed, and with half of them from one customer."""
    framed(bench)
    interleaved(bench)
    for tool, ending in [("gzip", "gz"), ("zstd", "zst")]:
        if shutil.which(tool):
            compressed(bench, tool, ending)
        else:
            log(f"{tool} is not installed; left out")
    skewed(bench)


def framed(bench):
    frames = [bench.path("loyalty.frames"), bench.path("conversions.frames")]
    for lines, framed in zip([bench.loyalty, bench.conversions], frames):
        bench.make(bench.adseg, "frame", lines, "-o", framed)
    text = bench.adseg_row("text")
    twin = bench.adseg_row("framed", loyalty=frames[0], conversions=frames[1:])
    bench.table("Framed", [text, twin])
    bench.target("framed, times as long as text", twin.median / text.median, "×", 1.3)
    for framed in frames:
        framed.unlink()


def interleaved(bench):
    stream = bench.path("stream.txt")
    bench.generate("-", "-", bench.args.events, bench.args.members, bench.args.customers, into=stream)
    text = bench.adseg_row("two files", decisions=False)
    twin = bench.adseg_row("the same records in one stream", loyalty="-", conversions=["-"], stdin=stream)
    bench.table("Interleaved", [text, twin], expected=apart(interleaved_decisions, stream))
    bench.target("interleaved, times as long as two files", twin.median / text.median, "×", 1.3)
    stream.unlink()


def compressed(bench, tool, ending):
    compressed = bench.path(f"conversions.txt.{ending}")
    bench.make(tool, "-c", bench.conversions, into=compressed)
    decompress = bench.row(f"{tool} -dc", [tool, "-dc", compressed], decisions=False)
    text, twin = bench.adseg_row("text"), bench.adseg_row(f"compressed with {tool}", conversions=[compressed])
    bench.table(f"Compressed with {tool}", [text, twin, decompress])
    by_text, by_tool = twin.median / text.median, twin.median / decompress.median
    what = f"{tool}, times as long as the slower of text ({by_text:.2f} ×) and `{tool} -dc` ({by_tool:.2f} ×)"
    bench.target(what, min(by_text, by_tool), "×", 1.3)
    compressed.unlink()


def skewed(bench):
    skewed = bench.path("skewed.txt")
    give_half_to_one(bench.conversions, skewed)
    bench.note(skewed, "$D/conversions.txt, every second record with the first one's email")
    even, twin = bench.adseg_row("even", decisions=False), bench.adseg_row("skewed", conversions=[skewed])
    bench.table("One customer owns half of all events", [even, twin], expected=bench.plain_python(skewed))
    skewed.unlink()


def cluster(bench):
    """The same run in 1, 2 and 4 processes with one worker each, which write one file."""
    words = ["run", "--loyalty", bench.loyalty, "--conversions", bench.conversions, "-o", bench.path("out.txt")]
    rows = [bench.row("one process, 2 threads", [bench.adseg, *words, "--threads", 2], writes=bench.path("out.txt"))]
    for count in (1, 2, 4):
        more = ["--processes", count, "--threads", 1]
        name = f"{count} process{'es' if count > 1 else ''} of one worker"
        rows.append(bench.row(name, [bench.adseg, *words, *more], writes=bench.path("out.txt")))
    bench.table("Several processes", rows)
    bench.target("2 processes of one worker, times as long as 2 threads", rows[2].median / rows[0].median, "×", 1.25)


def growth(bench):
    """Ten times as much data, and the log read ten times over."""
    tenth = [max(1, count // 10) for count in (bench.args.events, bench.args.members, bench.args.customers)]
    small = [bench.path("loyalty-tenth.txt"), bench.path("conversions-tenth.txt")]
    bench.generate(*small, *tenth)
    row = bench.adseg_row("a tenth of all", loyalty=small[0], conversions=small[1:], decisions=False)
    check([bench.adseg_row("", loyalty=small[0], conversions=small[1:])],
          bench.plain_python(small[1], small[0]), bench.scratch)  # fmt: skip
    all_of_it = bench.adseg_row("all")
    # adseg accepts a file only once, so the log comes from a pipe. Plain Python would take too long for the decisions.
    over = bench.adseg_row("the log ten times over", conversions=["-"], decisions=False, runs=bench.args.slow_runs)
    cat = ["cat", *[bench.conversions] * 10]
    over.shown = f"{bench.typed(cat)} | {over.shown}"
    over.argv = ["sh", "-c", " | ".join(shlex.join(map(str, words)) for words in (cat, over.argv))]
    bench.table("Ten times as much", [all_of_it, row, over])
    bench.target("ten times events, members and customers, times as long", all_of_it.median / row.median, "×", 10.5)
    bench.target("the log ten times over, times as long", over.median / all_of_it.median, "×", 10.5)
    bench.target("the log ten times over, times the peak memory", over.peak / all_of_it.peak, "×", 1.05)
    for path in small:
        path.unlink()
    if bench.args.long:
        long(bench)


def long(bench):
    """Ten times the events, members and customers, as files."""
    events = bench.args.events * 10
    if shutil.disk_usage(bench.folder).free < events * EVENT_BYTES * 1.3:
        log("not enough space for ten times the events; left out")
        return
    large = [bench.path("loyalty-tenfold.txt"), bench.path("conversions-tenfold.txt")]
    bench.generate(*large, events, bench.args.members * 10, bench.args.customers * 10)
    row = bench.adseg_row("ten times all", loyalty=large[0], conversions=large[1:], decisions=False,
                         runs=bench.args.slow_runs)  # fmt: skip
    all_of_it = bench.adseg_row("all")
    bench.table("Ten times as much again", [all_of_it, row])
    bench.target(f"{events:,} events, times as long as a tenth of all", row.median / all_of_it.median, "×", 10.5)
    for path in large:
        path.unlink()


def start(bench):
    """The time of a run with almost no data."""
    runs = 30 * bench.args.runs
    sample = [FIXTURE / "loyalty.txt", FIXTURE / "conversions.txt"]
    tiny = bench.adseg_row("a few lines", loyalty=sample[0], conversions=sample[1:], runs=runs)
    usage = bench.row("--help", [bench.adseg, "--help"], runs, decisions=False)
    bench.table("Start to exit", [tiny, usage], expected=bench.plain_python(sample[1], sample[0]))
    bench.target("a few lines, start to exit", tiny.median * 1000, " ms", 10)
    bench.target("--help, start to exit", usage.median * 1000, " ms", 5)


def policy(bench):
    """A run with a suppression list, holdout, once, ledger and codes, beside a run without a policy."""
    rules, suppressed, codes = bench.path("policy.toml"), bench.path("suppressed.txt"), bench.path("codes.txt")
    rules.write_text(RULES)
    bench.note(rules, " ".join(RULES.split()))
    bench.make(bench.adseg, "generate", "--suppress", suppressed, "--codes", codes, "--events", bench.args.events,
               "--members", bench.args.members, "--customers", bench.args.customers, "--suppressed",
               bench.args.members, "--code-count", max(1, bench.args.events // 2))  # fmt: skip
    earlier, ledger, first = bench.path("ledger-before.csv"), bench.path("ledger.csv"), bench.path("first.txt")
    write_ledger(bench.conversions, earlier)
    bench.note(earlier, "a code sent for each conversion, every tenth for its promo, the others for an earlier one")
    bench.note(ledger, "a new copy of $D/ledger-before.csv for each run, made outside the measured time")
    write_first(bench.conversions, first)
    bench.note(first, "the first line of $D/conversions.txt")

    out = bench.path("decisions.csv")
    gates = ["--campaign", rules, "--suppress", suppressed, "--ledger", ledger, "--run-id", "now", "--codes", codes]

    def rows(what, conversions):
        """A run to CSV without the policy, and one with it."""
        words = {"conversions": [conversions], "writes": out, "decisions": False}
        to_csv = ["--output-format", "csv", "-o", out]
        plain = bench.adseg_row(f"to CSV{what}", *to_csv, **words)
        gated = bench.adseg_row(f"with a policy{what}", *to_csv, *gates, **words)
        gated.prepare = lambda: shutil.copyfile(earlier, ledger)
        return plain, gated

    (plain, gated), (load, gated_load) = rows("", bench.conversions), rows(", one conversion", first)
    bench.table("A policy", [plain, gated, load, gated_load])
    longer = (gated.median - gated_load.median) / (plain.median - load.median)
    more_work = (gated.cpu - gated_load.cpu) / (plain.cpu - load.cpu)
    bench.target("with a policy, times as long as without, both less the time to load", longer, "×", 1.3)
    bench.target("with a policy, times the processor time of without, both less that to load", more_work, "×", 1.3)
    for path in (rules, suppressed, codes, earlier, ledger, first):
        path.unlink()


def report(bench):
    """A report and a run that saves the list, beside a run that does neither."""
    run, saved = bench.adseg_row("run"), bench.path("saved.txt")
    save = bench.adseg_row("run with a saved list", "--save-loyalty", saved)
    argv = [bench.adseg, "report", "--loyalty", bench.loyalty, "--conversions", bench.conversions]
    reported = bench.row("report", argv, decisions=False)
    bench.table("A report and a saved list", [run, reported, save])
    bench.target("report, times as long as a run", reported.median / run.median, "×", 2)
    bench.target("with a saved list, times as long as a run", save.median / run.median, "×", 1.3)
    saved.unlink()


def before(bench):
    """The same commands by this program and by an earlier one."""
    frames = [bench.path("loyalty.frames"), bench.path("conversions.frames")]
    for lines, framed in zip([bench.loyalty, bench.conversions], frames):
        bench.make(bench.adseg, "frame", lines, "-o", framed)
    csv = bench.path("conversions.csv")
    write_csv(bench.conversions, csv)
    bench.note(csv, "the records of $D/conversions.txt, with a header row")

    text = [bench.loyalty, bench.conversions]
    for name, (loyalty, conversions), (subcommand, *more), decisions in [
        ("text", text, ["run"], True),
        ("framed", frames, ["run"], True),
        ("CSV", [bench.loyalty, csv], ["run", "--conversions-format", "csv"], True),
        ("to CSV", text, ["run", "--output-format", "csv"], False),
        ("to JSON Lines", text, ["run", "--output-format", "jsonl"], False),
        ("with a saved list", text, ["run", "--save-loyalty", bench.path("saved.txt")], True),
        ("check", text, ["check"], False),
        ("report", text, ["report", "-o", bench.path("report.html")], False),
    ]:
        words = [subcommand, "--loyalty", loyalty, "--conversions", conversions, *more]
        now, then = [
            bench.row(f"{name}, {when}", [program, *words], decisions=decisions)
            for program, when in [(bench.adseg, "now"), (bench.earlier, "before")]
        ]
        bench.table(f"Before and now: {name}", [now, then], against=then)
        bench.target(f"{name}, times as long as before", now.median / then.median, "×", NOT_SLOWER)
        share = SHARES.get(name, NOT_SLOWER)
        bench.target(f"{name}, times the processor time of before", now.cpu / then.cpu, "×", share)


PARTS = {
    part.__name__: part
    for part in (yardsticks, exports, forms, cluster, growth, start, policy, report, before)
}
