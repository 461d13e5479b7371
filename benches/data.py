"""Writes the data that `adseg generate` does not write, record by record, and computes decisions for it."""

import hashlib


def write_csv(conversions, csv):
    """Writes conversions as CSV with a header row."""
    with open(conversions, "rb") as events, open(csv, "wb") as out:
        out.write(b"promo,conversion,email,where,items,total_cost\n")
        for event in events:
            promo, kind, email, rest = (field.strip() for field in event.split(b",", 3))
            # A click ends with its place, a basket with its items, a purchase with its items and its total.
            details = {b"ClickConversion": b"%b,,", b"BasketConversion": b",%b,", b"PurchaseConversion": b",%b"}
            out.write(b",".join([promo, kind, email, details[kind] % rest]) + b"\n")


def interleaved_decisions(stream):
    """The SHA-256 of the decisions for an interleaved stream, computed record by record."""
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
    """Copies conversions, every second one with the email of the first."""
    with open(conversions, "rb") as events, open(skewed, "wb") as out:
        one = None
        for number, event in enumerate(events):
            promo, kind, email, rest = event.split(b",", 3)
            one = one or email
            out.write(b",".join([promo, kind, one if number % 2 else email, rest]))


def write_ledger(conversions, ledger):
    """Writes a ledger of earlier runs with a row for each conversion.

    Every tenth row has the promo of its conversion, so some of the customers were already sent a code for it.
    """
    with open(conversions, "rb") as events, open(ledger, "wb") as out:
        out.write(b"run,promo,email,outcome,code\n")
        for number, event in enumerate(events):
            promo, _, email, _ = (field.strip() for field in event.split(b",", 3))
            sent_for = promo if number % 10 == 0 else b"EarlierPromo"
            out.write(b"night-%d,%b,%b,sent,SENT%010d\n" % (number % 30, sent_for, email, number))


def write_first(conversions, first):
    """Copies the first conversion."""
    with open(conversions, "rb") as events, open(first, "wb") as out:
        out.write(events.readline())
