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
RAW = """
    select row_number() over () as n, line
    from read_csv({path}, columns = {{'line': 'varchar'}}, header = false, delim = e'\\x01', quote = '', escape = '',
                  auto_detect = false, parallel = false)
"""

LINES = """
    create table {name} as
    select n, list_transform(string_split(line, ','), lambda field: trim(field, e' \\t\\n\\x0b\\f\\r')) as fields
    from ({raw}) where trim(line, e' \\t\\n\\x0b\\f\\r') <> ''
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

    create table purchases_after_clicks as
    select e.email, bool_or(e.n > b.first_basket) as after_basket
    from events e join customers u using (email) left join baskets_after_clicks b using (email)
    where e.kind = 'PurchaseConversion' and e.n > u.first_click group by 1;

    create table funnel as
    select u.email, u.listed, u.first_click is not null as clicked, u.has_basket,
           u.first_purchase is not null as bought, b.first_basket is not null as basket,
           p.email is not null as bought_after_click, coalesce(p.after_basket, false) as purchase
    from customers u left join baskets_after_clicks b using (email) left join purchases_after_clicks p using (email);

    create table items as
    select n, kind, trim(item, e' \\t\\n\\x0b\\f\\r') as item, cost from (
        select n, kind, cost, unnest(string_split(what[2:-2], ';')) as item from events
        where kind <> 'ClickConversion'
    ) where trim(item, e' \\t\\n\\x0b\\f\\r') <> '';
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


def rounded(part, whole, decimals):
    """A quotient with this many decimals, rounded half up; None of nothing."""
    return (Decimal(part) / Decimal(whole)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP) if whole else None


def percent(part, whole):
    return rounded(100 * part, whole, 1)


def totals(group, condition):
    (customers, all_customers) = one(f"select count(*) filter (where {condition}), count(*) from customers")
    (clicked, basket, bought, after_click) = one(
        f"""select count(*) filter (where clicked), count(*) filter (where has_basket), count(*) filter (where bought),
                   count(*) filter (where bought_after_click)
            from funnel where {condition}"""
    )
    (clicks, codes, baskets, purchases, revenue, new_members) = one(
        f"""select count(*) filter (where kind = 'ClickConversion'), count(*) filter (where send),
                   count(*) filter (where kind = 'BasketConversion'), count(*) filter (where kind = 'PurchaseConversion'),
                   coalesce(sum(cost), 0), count(*) filter (where enrols)
            from events where {condition}"""
    )
    return {
        "group": group, "customers": customers, "share_of_customers": percent(customers, all_customers),
        "customers_who_clicked": clicked, "customers_with_a_basket": basket, "customers_who_bought": bought,
        "bought_after_click": percent(after_click, clicked), "clicks": clicks,
        "clicks_per_customer": rounded(clicks, customers, 2), "codes": codes, "codes_per_click": percent(codes, clicks),
        "baskets": baskets, "purchases": purchases, "revenue": revenue,
        "revenue_per_buyer": rounded(revenue, bought, 2), "average_purchase": rounded(revenue, purchases, 2),
        "not_in_revenue": 0, "new_members": new_members,
    }


def funnel(group, condition):
    (customers, clicked, basket, purchase, bought_otherwise, basket_otherwise) = one(
        f"""select count(*), count(*) filter (where clicked), count(*) filter (where basket),
                   count(*) filter (where purchase), count(*) filter (where bought and not purchase),
                   count(*) filter (where has_basket and not basket)
            from funnel where {condition}"""
    )
    return {
        "group": group, "clicked": clicked, "clicked_share": percent(clicked, customers),
        "then_basket": basket, "then_basket_share": percent(basket, customers),
        "then_purchase": purchase, "then_purchase_share": percent(purchase, customers),
        "bought_otherwise": bought_otherwise, "bought_otherwise_share": percent(bought_otherwise, customers),
        "basket_otherwise": basket_otherwise,
    }


def with_codes_per_click(table):
    return [{**row, "codes_per_click": percent(row["codes"], row["clicks"])} for row in table]


def quoted(path):
    return "'" + path.replace("'", "''") + "'"


def inputs(paths):
    sources = zip(paths, ("loyalty list", "conversions"))
    times = {"first_time": None, "last_time": None}
    return [{"input": path, "source": source, "records": count_lines(path), **times} for path, source in sources]


def count_lines(path):
    return one(f"select count(*) from ({RAW.format(path=quoted(path))})")[0]


def title():
    names = sorted(row["promo"] for row in rows("select distinct promo from events", ["promo"]))
    return ", ".join(names) if 0 < len(names) <= 3 and "" not in names else "Campaign report"


def figures(paths):
    groups = [("all", "true"), ("members", "listed"), ("non-members", "not listed")]
    clicks_of = """count(*) filter (where kind = 'ClickConversion') as clicks,
               count(distinct email) filter (where kind = 'ClickConversion'), count(*) filter (where send)"""
    clicks = "events where kind = 'ClickConversion'"
    keys = ["clicks", "customers", "codes"]
    (members, joined) = one("select (select count(*) from members), (select count(*) from events where enrols)")
    (conversions, loyalty_rows) = one("select (select count(*) from lines), (select count(*) from rows)")
    blanks = sum(count_lines(path) for path in paths) - conversions - loyalty_rows
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
        "channels": with_codes_per_click(
            rows(f"select what, {clicks_of} from {clicks} group by what", ["channel", *keys])
        ),
        "promo_channels": with_codes_per_click(
            rows(f"select promo, what, {clicks_of} from {clicks} group by all", ["promo", "channel", *keys])
        ),
        "items": rows(
            """select item, coalesce(sum(cost) filter (where first), 0),
                      count(*) filter (where first and kind = 'PurchaseConversion'),
                      count(*) filter (where kind = 'PurchaseConversion'),
                      count(*) filter (where first and kind = 'BasketConversion')
               from (select *, row_number() over (partition by n, item) = 1 as first from items) group by item""",
            ["item", "revenue", "purchases", "units", "baskets"],
        ),
        "membership": [{
            "members": members + joined, "with_a_row": members, "without_a_row": joined, "new_members": joined,
            "new_member_share": percent(joined, members + joined),
        }],
        "genders": rows(
            """select gender, count(*), count(*) filter (where fb and not insta),
                      count(*) filter (where insta and not fb), count(*) filter (where fb and insta),
                      count(*) filter (where not fb and not insta)
               from members group by gender""",
            ["gender", "members", "facebook", "instagram", "both", "neither"],
        ),
        "inputs": inputs(paths),
        "report": [{"title": title(), "list_members": members}],
        "records": [{
            "records": conversions + loyalty_rows + blanks, "conversions": conversions, "loyalty_rows": loyalty_rows,
            "rejects": 0, "blanks": blanks, "ignored": 0,
        }],
    }


def timeline_differences(timeline):
    """Computes the figures between the points that the report chose, and checks that its parts are about equal."""
    database.execute("create table ordered as select row_number() over (order by n) as position, * from events")
    total, start = one("select count(*) from events")[0], 0
    if len(timeline) != min(20, total) or (timeline and timeline[-1]["conversions_so_far"] != total):
        yield f"timeline: {len(timeline)} parts, {timeline[-1:]}, expected the last one at {total}"
    for part in timeline:
        end = part["conversions_so_far"]
        (clicks, codes, purchases, new_members) = one(
            f"""select count(*) filter (where kind = 'ClickConversion'), count(*) filter (where send),
                       count(*) filter (where kind = 'PurchaseConversion'), count(*) filter (where enrols)
                from ordered where position > {int(start)} and position <= {int(end)}"""
        )
        expected = {
            "conversions_so_far": end, "clicks": clicks, "codes": codes, "purchases": purchases,
            "new_members": new_members,
        }
        if part != expected:
            yield f"timeline: {part}, expected {expected}"
        if abs(end - start - total / 20) > total / 200 + 1:
            yield f"timeline: a part of {end - start} of {total} conversions"
        start = end


def lift_differences(adseg, sources, folder):
    """Computes the groups and the purchases of the lift, with the ledger of a run with the same conversions."""
    campaign, ledger = f"{folder}/campaign.toml", f"{folder}/ledger.csv"
    Path(campaign).write_text('[holdout]\npercent = "20"\nkey = "k"\n')
    policy = ["--campaign", campaign, "--ledger", ledger]
    subprocess.run([adseg, "run", *sources, *policy, "--run-id", "1", "-o", os.devnull, "--quiet"], check=True)
    output = subprocess.run([adseg, "report", *sources, *policy, "--format", "json"], check=True, stdout=subprocess.PIPE)
    expected = rows(
        f"""with numbered as (select *, row_number() over () as row from read_csv({quoted(ledger)}, all_varchar = true)),
                 groups as (select lower(email) as email, arg_min(outcome, row) as outcome from numbered group by 1),
                 purchases as (select lower(email) as email, cost from conversions where kind = 'PurchaseConversion')
            select case outcome when 'sent' then 'sent a code' else 'held out' end, count(distinct g.email),
                   count(distinct p.email), count(p.email), coalesce(sum(cost), 0)
            from groups g left join purchases p on g.email = p.email group by outcome order by outcome desc""",
        ["group", "customers", "customers_who_bought", "purchases", "revenue"],
    )
    for row in expected:
        row["conversion_rate"] = percent(row["customers_who_bought"], row["customers"])
        row["revenue_per_customer"] = rounded(row["revenue"], row["customers"], 2)
        row["not_in_revenue"] = 0
    found = json.loads(output.stdout)["lift"]
    if [normal(row) for row in found] != [normal(row) for row in expected]:
        yield f"lift: {found}, expected {expected}"


def normal(row):
    """Decimal numbers as such, so 1.50 and 1.5 are equal."""
    money = ("revenue", "average_purchase", "revenue_per_buyer", "revenue_per_customer")
    is_decimal = lambda key, value: isinstance(value, float) or (key in money and value is not None)
    return {key: Decimal(str(value)) if is_decimal(key, value) else value for key, value in row.items()}


def differences(report, expected):
    for name in report.keys() ^ expected.keys() ^ {"timeline"}:
        yield f"{name}: only in one of the report and this script"
    for name, table in expected.items():
        names = [key for key in table[0] if key in ("group", "promo", "channel", "item", "gender", "input")] if table else []
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
            database.execute(LINES.format(name=name, raw=RAW.format(path=quoted(path))))
        database.execute(TABLES)
        expected = figures([loyalty, conversions])
        found = [*differences(report, expected), *timeline_differences(report["timeline"])]
        found += lift_differences(args.adseg, sources, folder)
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
