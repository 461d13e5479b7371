"""The campaign in DuckDB: python campaign_duckdb.py loyalty.txt conversions.txt decisions.txt

Conversions are CSV with a header row if the file name ends with .csv, and JSON Lines if it ends with .jsonl.

A customer is a member from the list on (-1) or from the row of the first purchase, whichever comes first. So one table
has the start of each membership, and one join decides every conversion. A join in DuckDB does not keep the order of
the log, so the decisions are sorted by row number.

Tried and slower: the log as a separate table instead of a materialized expression.
"""

import sys
from pathlib import Path

import duckdb

TEXT = """
    header = false, auto_detect = false, delim = ',', quote = '', escape = '', null_padding = true, strict_mode = false
"""

# The conversions with the columns kind and email, by the end of the file name.
EVENTS = {
    ".csv": """(
        select conversion as kind, email
        from read_csv('{path}', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', columns = {{
            'promo': 'varchar', 'conversion': 'varchar', 'email': 'varchar', 'where': 'varchar', 'items': 'varchar',
            'total_cost': 'varchar'}}))""",
    ".jsonl": """(
        select conversion as kind, email
        from read_json('{path}', format = 'newline_delimited', columns = {{
            'conversion': 'varchar', 'email': 'varchar'}}))""",
    ".txt": """
        read_csv('{path}', {text}, columns = {{
            'promo': 'varchar', 'kind': 'varchar', 'email': 'varchar', 'rest': 'varchar', 'total_cost': 'varchar'}})""",
}

QUERY = """
copy (
    with events as materialized (
        select row_number() over () as number, trim(kind) as kind, trim(email) as email
        from {conversions}
    ),
    membership as (
        select email, min(since) as since
        from (
            select trim(email) as email, -1 as since
            from read_csv('{loyalty}', {text}, columns = {{
                'email': 'varchar', 'fb_user': 'varchar', 'insta_user': 'varchar', 'gender': 'varchar'}})
            union all
            select email, number from events where kind = 'PurchaseConversion'
        )
        group by email
    )
    select 'Send additional promo code to: ' || events.email
        || case when kind = 'ClickConversion' and since < number then ', True' else ', False' end
    from events left join membership on membership.email = events.email
    order by number
) to '{output}' (format csv, header false, delimiter '\x01', quote '', escape '')
"""


def main(loyalty, conversions, output):
    events = EVENTS[Path(conversions).suffix].format(path=conversions, text=TEXT)
    duckdb.connect().execute(QUERY.format(loyalty=loyalty, conversions=events, output=output, text=TEXT))


main(*sys.argv[1:])
