"""The campaign in plain Python: python3 campaign.py loyalty.txt conversions.txt > decisions.txt

A set of members, one look-up an event, bytes throughout. Nothing is decoded, and events are only split up to the
email. All other outputs are compared with this one.
"""

import sys


def decisions(events, members):
    for event in events:
        _, kind, email, _ = event.split(b",", 3)
        kind = kind.strip()
        email = email.strip()
        if kind == b"ClickConversion" and email in members:
            yield b"Send additional promo code to: " + email + b", True\n"
        else:
            if kind == b"PurchaseConversion":
                members.add(email)
            yield b"Send additional promo code to: " + email + b", False\n"


def main(loyalty, conversions):
    with open(loyalty, "rb") as rows:
        members = {row.split(b",", 1)[0].strip() for row in rows}
    with open(conversions, "rb") as events:
        sys.stdout.buffer.writelines(decisions(events, members))


main(*sys.argv[1:])
