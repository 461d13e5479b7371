#!/usr/bin/env python3
"""Compares every figure of `adseg report` with the same figure computed by DuckDB from the same files.

It shares no code with the crate: it is SQL over the raw lines. Run it by hand:

    cargo build --release
    tests/report_agrees_with_duckdb.py target/release/adseg

It generates sample data with `adseg generate` unless --loyalty and --conversions name files in the text format without
bad records. It installs DuckDB into a virtual environment, target/duckdb-venv. It needs Python 3.9, the network on the
first run, and for the default size some minutes and a few GB of memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / "target" / "duckdb-venv"

# Each line is read as one column, without separators and quotes.
LINES = """
    create table {name} as
    select n, list_transform(string_split(line, ','), lambda field: trim(field, e' \\t\\n\\v\\f\\r')) as fields from (
        select row_number() over () as n, line
        from read_csv({path}, columns = {{'line': 'varchar'}}, header = false, delim = e'\\x01', quote = '', escape = '',
                      auto_detect = false, parallel = false)
    ) where trim(line, e' \\t\\n\\v\\f\\r') <> ''
"""

TABLES = """
    create table members as
    select fields[1] as email, arg_max(fields[2], n) <> '' as fb, arg_max(fields[3], n) <> '' as insta,
           arg_max(fields[4], n) as gender
    from rows group by 1;

    create table conversions as
    select n, fields[1] as promo, fields[2] as kind, fields[3] as email, fields[4] as what,
           case fields[2] when 'PurchaseConversion' then cast(fields[5] as decimal(30, 6)) end as cost
    from lines;

    create table customers as
    select c.email, m.email is not null as listed,
           min(n) filter (where kind = 'PurchaseConversion') as first_purchase,
           min(n) filter (where kind = 'ClickConversion') as first_click,
           bool_or(kind = 'BasketConversion') as has_basket
    from conversions c left join members m using (email) group by all;

    create table events as
    select c.*, u.listed, not u.listed and n = u.first_purchase as enrols,
           kind = 'ClickConversion' and (u.listed or coalesce(n > u.first_purchase, false)) as send
    from conversions c join customers u using (email);

    create table baskets_after_clicks as
    select e.email, min(n) as first_basket from events e join customers u using (email)
    where kind = 'BasketConversion' and n > first_click group by 1;

    create table funnel as
    select u.email, u.listed, u.first_click is not null as clicked, b.first_basket is not null as basket,
           exists (select 1 from events e where e.email = u.email and e.kind = 'PurchaseConversion'
                   and e.n > b.first_basket) as purchase
    from customers u left join baskets_after_clicks b using (email);

    create table items as
    select n, kind, trim(item, e' \\t\\n\\v\\f\\r') as item, cost from (
        select n, kind, cost, unnest(string_split(what[2:-2], ';')) as item from events
        where kind <> 'ClickConversion'
    ) where trim(item, e' \\t\\n\\v\\f\\r') <> '';
"""


def restart_in_virtual_environment():
    """Restarts the script in an environment that has DuckDB."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(VENV, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "duckdb"], check=True)
    if Path(sys.prefix).resolve() != VENV.resolve():
        raise SystemExit(subprocess.run([python, *sys.argv]).returncode)


def rows(sql, keys):
    return [dict(zip(keys, row)) for row in database.execute(sql).fetchall()]


def one(sql):
    return database.execute(sql).fetchone()


def totals(group, condition):
    (customers, clicked, basket, bought) = one(
        f"""select count(*), count(first_click), count(*) filter (where has_basket), count(first_purchase)
            from customers where {condition}"""
    )
    (clicks, codes, baskets, purchases, revenue, new_members) = one(
        f"""select count(*) filter (where kind = 'ClickConversion'), count(*) filter (where send),
                   count(*) filter (where kind = 'BasketConversion'), count(*) filter (where kind = 'PurchaseConversion'),
                   coalesce(sum(cost), 0), count(*) filter (where enrols)
            from events where {condition}"""
    )
    average = (revenue / purchases).quantize(Decimal("0.01"), ROUND_HALF_UP) if purchases else None
    return {
        "group": group, "customers": customers, "customers_who_clicked": clicked, "customers_with_a_basket": basket,
        "customers_who_bought": bought, "clicks": clicks, "codes": codes, "baskets": baskets, "purchases": purchases,
        "revenue": revenue, "average_purchase": average, "not_in_revenue": 0, "new_members": new_members,
    }


def funnel(group, condition):
    (clicked, basket, purchase) = one(
        f"""select count(*) filter (where clicked), count(*) filter (where basket), count(*) filter (where purchase)
            from funnel where {condition}"""
    )
    return {"group": group, "clicked": clicked, "then_basket": basket, "then_purchase": purchase}


def figures():
    groups = [("all", "true"), ("members", "listed"), ("non-members", "not listed")]
    clicks_of = """count(*) filter (where kind = 'ClickConversion') as clicks,
               count(distinct email) filter (where kind = 'ClickConversion'), count(*) filter (where send)"""
    clicks = "events where kind = 'ClickConversion'"
    keys = ["clicks", "customers", "codes"]
    (members, joined) = one("select (select count(*) from members), (select count(*) from events where enrols)")
    (conversions, loyalty_rows) = one("select (select count(*) from lines), (select count(*) from rows)")
    return {
        "totals": [totals(*group) for group in groups],
        "funnel": [funnel(*group) for group in groups],
        "promos": rows(
            f"""select promo, {clicks_of}, count(*) filter (where kind = 'BasketConversion'),
                       count(*) filter (where kind = 'PurchaseConversion'), coalesce(sum(cost), 0),
                       count(*) filter (where enrols)
                from events group by promo""",
            ["promo", *keys, "baskets", "purchases", "revenue", "new_members"],
        ),
        "channels": rows(f"select what, {clicks_of} from {clicks} group by what", ["channel", *keys]),
        "promo_channels": rows(f"select promo, what, {clicks_of} from {clicks} group by all", ["promo", "channel", *keys]),
        "items": rows(
            """select item, coalesce(sum(cost) filter (where first), 0),
                      count(*) filter (where first and kind = 'PurchaseConversion'),
                      count(*) filter (where kind = 'PurchaseConversion'),
                      count(*) filter (where first and kind = 'BasketConversion')
               from (select *, row_number() over (partition by n, item) = 1 as first from items) group by item""",
            ["item", "revenue", "purchases", "units", "baskets"],
        ),
        "membership": [{"members": members + joined, "with_a_row": members, "without_a_row": joined}],
        "genders": rows(
            """select gender, count(*), count(*) filter (where fb and not insta),
                      count(*) filter (where insta and not fb), count(*) filter (where fb and insta),
                      count(*) filter (where not fb and not insta)
               from members group by gender""",
            ["gender", "members", "facebook", "instagram", "both", "neither"],
        ),
        "records": {"conversions": conversions, "loyalty_rows": loyalty_rows, "rejects": 0},
    }


def timeline_differences(timeline):
    """Computes the new members at each point that the report chose."""
    for point in timeline:
        expected = one(f"""select count(*) filter (where enrols) from
                           (select enrols from events order by n limit {int(point["conversions"])})""")[0]
        if expected != point["new_members"]:
            yield f"timeline: {point}, expected {expected} new members"


def normal(row):
    """Money as a number, so 1.50 and 1.5 are equal."""
    money = ("revenue", "average_purchase")
    return {key: Decimal(value) if key in money and value is not None else value for key, value in row.items()}


def differences(report, expected):
    for name, table in expected.items():
        if name == "records":
            wrong = {key: report[name][0][key] for key in table if report[name][0][key] != table[key]}
            if wrong:
                yield f"records: {wrong}, expected {table}"
            continue
        names = [key for key in table[0] if key in ("group", "promo", "channel", "item", "gender")] if table else []
        by_name = lambda rows: {tuple(row[key] for key in names): normal(row) for row in rows}
        reported, computed = by_name(report[name]), by_name(table)
        for key in reported.keys() | computed.keys():
            if reported.get(key) != computed.get(key):
                yield f"{name} {key}: {reported.get(key)}, expected {computed.get(key)}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adseg", help="the program, such as target/release/adseg")
    parser.add_argument("--loyalty", help="a loyalty list instead of a generated one")
    parser.add_argument("--conversions", help="conversions instead of generated ones")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=500_000)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main(args):
    with tempfile.TemporaryDirectory() as folder:
        loyalty = args.loyalty or f"{folder}/loyalty.txt"
        conversions = args.conversions or f"{folder}/conversions.txt"
        sources = ["--loyalty", loyalty, "--conversions", conversions]
        if not (args.loyalty and args.conversions):
            sizes = [f"--{name}={getattr(args, name)}" for name in ("events", "customers", "members", "seed")]
            subprocess.run([args.adseg, "generate", *sources, *sizes], check=True)
        output = subprocess.run([args.adseg, "report", *sources, "--format", "json"], check=True, stdout=subprocess.PIPE)
        report = json.loads(output.stdout)
        for name, path in (("rows", loyalty), ("lines", conversions)):
            database.execute(LINES.format(name=name, path="'" + path.replace("'", "''") + "'"))
        database.execute(TABLES)
        found = [*differences(report, figures()), *timeline_differences(report["timeline"])]
    for difference in found[:20]:
        print(difference)
    tables = ", ".join(f"{len(rows)} of {name}" for name, rows in report.items())
    print(f"{len(found)} differences in these rows: {tables}")
    return 1 if found else 0


if __name__ == "__main__":
    restart_in_virtual_environment()
    import duckdb

    arguments_given = arguments()
    database = duckdb.connect()
    raise SystemExit(main(arguments_given))
