"""The campaign in DuckDB: python campaign_duckdb.py loyalty.txt conversions.txt decisions.txt

A customer is a member from the list on (-1) or from the row of the first purchase, whichever comes first. So one table
has the start of each membership, and one join decides every conversion. A join in DuckDB does not keep the order of
the log, so the decisions are sorted by row number.

Tried and slower: the log as a separate table instead of a materialized expression.
"""

import sys

import duckdb

CSV = """
    header = false, auto_detect = false, delim = ',', quote = '', escape = '', null_padding = true, strict_mode = false
"""

QUERY = """
copy (
    with events as materialized (
        select row_number() over () as number, trim(kind) as kind, trim(email) as email
        from read_csv('{conversions}', {csv}, columns = {{
            'promo': 'varchar', 'kind': 'varchar', 'email': 'varchar', 'rest': 'varchar', 'total_cost': 'varchar'}})
    ),
    membership as (
        select email, min(since) as since
        from (
            select trim(email) as email, -1 as since
            from read_csv('{loyalty}', {csv}, columns = {{
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
    duckdb.connect().execute(QUERY.format(loyalty=loyalty, conversions=conversions, output=output, csv=CSV))


main(*sys.argv[1:])
