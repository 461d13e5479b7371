//! The report of `adseg explain`: histories as text and as JSON lines.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::analysis::{ConversionEntry, Entry, EntryKind, Histories, History};
use crate::escape::{Escaped, json_line, shorten};
use crate::location::{LineIndex, Location};
use crate::record::ConversionKind;

/// The maximum number of near matches in the text report.
const LISTED_NEAR_MATCHES: usize = 10;

/// The maximum width of a promo, and of channel, items and total cost, in characters.
const SHOWN_CHARS: usize = 24;

/// Prints histories.
pub(super) struct Printer<'a> {
    pub histories: &'a Histories,
    pub line_index: &'a LineIndex,
    /// The number of bad records that were skipped. Their emails are not known.
    pub skipped: u64,
}

/// The reason for a decision, in words. The decision itself comes from the campaign.
fn reason(entry: &Entry, history: &History) -> &'static str {
    let was_member = entry.was_member;
    let EntryKind::Conversion(conversion) = &entry.kind else {
        return if was_member {
            "already a member: replaces the earlier row"
        } else {
            "on the loyalty list: a member from here on"
        };
    };
    match conversion.kind {
        ConversionKind::Click if conversion.decision.send => "a member clicked",
        ConversionKind::Click if history.member_since.is_some_and(|since| since > entry.number) => "not a member yet",
        ConversionKind::Click => "not a member",
        ConversionKind::Basket => "a basket gets no code",
        ConversionKind::Purchase if conversion.decision.enrolled => "bought: a member from here on",
        ConversionKind::Purchase if was_member => "a member bought: only clicks get a code",
        ConversionKind::Purchase => "a purchase gets no code",
    }
}

/// The numbers of a customer's records and codes.
#[derive(Debug, Default, Serialize)]
struct Totals {
    loyalty_rows: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    codes: u64,
}

impl Totals {
    fn of(history: &History) -> Self {
        let mut totals = Self::default();
        for entry in &history.entries {
            let EntryKind::Conversion(conversion) = &entry.kind else {
                totals.loyalty_rows += 1;
                continue;
            };
            totals.codes += u64::from(conversion.decision.send);
            match conversion.kind {
                ConversionKind::Click => totals.clicks += 1,
                ConversionKind::Basket => totals.baskets += 1,
                ConversionKind::Purchase => totals.purchases += 1,
            }
        }
        totals
    }
}

/// `1 click`, `2 clicks`.
fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Printer<'_> {
    pub fn write_text(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", Escaped(email))?;
        let history = self.histories.get(email);
        match history {
            Some(history) => self.write_history(history, out)?,
            None if self.skipped == 0 => writeln!(out, "  occurs in no record")?,
            None => {
                let were = if self.skipped == 1 { "was" } else { "were" };
                writeln!(out, "  occurs in no good record ({} {were} skipped)", plural(self.skipped, "bad record"))?;
            }
        }
        let mut near_matches = self.histories.near_matches(email);
        for (other, of_other) in near_matches.by_ref().take(LISTED_NEAR_MATCHES) {
            let records = plural(of_other.entries.len() as u64, "record");
            let first = self.line_index.location(of_other.entries[0].number);
            let (before, after) = if history.is_some() { ("another customer is", "") } else { ("did you mean", "?") };
            writeln!(out, "  {before} \"{}\"{after} ({records}, the first at {first})", Escaped(other))?;
        }
        match near_matches.count() {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more that differ only by case or white space"),
        }
    }

    fn write_history(&self, history: &History, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<[String; 6]> = history.entries.iter().map(|entry| self.row(entry, history)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (places, promos, details) = (width(0), width(2), width(3));
        for [place, kind, promo, detail, decision, reason] in &rows {
            writeln!(
                out,
                "  {place:places$}  {kind:<18}  {promo:promos$}  {detail:details$}  {decision:<5}  {reason}"
            )?;
        }
        let since = match history.member_since {
            Some(number) => format!("a member since {}", self.line_index.location(number)),
            None => "not a member".to_owned(),
        };
        let Totals { clicks, baskets, purchases, codes, .. } = Totals::of(history);
        let [clicks, baskets] = [plural(clicks, "click"), plural(baskets, "basket")];
        let [purchases, codes] = [plural(purchases, "purchase"), plural(codes, "code")];
        writeln!(out, "  {since}; {clicks}, {baskets}, {purchases}; {codes}")
    }

    fn row(&self, entry: &Entry, history: &History) -> [String; 6] {
        let place = self.line_index.location(entry.number).to_string();
        let (kind, promo, detail, decision) = match &entry.kind {
            EntryKind::LoyaltyRow => ("loyalty row", String::new(), String::new(), ""),
            EntryKind::Conversion(conversion) => (
                conversion.kind.name(),
                shorten(Escaped(&conversion.promo).to_string(), SHOWN_CHARS),
                shorten(detail(conversion), SHOWN_CHARS),
                if conversion.decision.send { "True" } else { "False" },
            ),
        };
        [place, kind.to_owned(), promo, detail, decision.to_owned(), reason(entry, history).to_owned()]
    }

    /// Writes a line for each record, and one for the customer.
    pub fn write_jsonl(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        let history = self.histories.get(email);
        for (history, entry) in
            history.into_iter().flat_map(|history| history.entries.iter().map(move |one| (history, one)))
        {
            json_line(&Line::Record(self.record(email, history, entry)), &mut *out)?;
        }
        let near_matches = self.histories.near_matches(email).map(|(other, history)| NearMatch {
            email: text(other),
            records: history.entries.len(),
            first: self.line_index.location(history.entries[0].number),
        });
        let customer = Customer {
            email: text(email),
            found: history.is_some(),
            member_since: history.and_then(|history| Some(self.line_index.location(history.member_since?))),
            totals: history.map_or_else(Totals::default, Totals::of),
            near_matches: near_matches.collect(),
        };
        json_line(&Line::Customer(customer), out)
    }

    fn record<'b>(&'b self, email: &'b [u8], history: &History, entry: &'b Entry) -> Record<'b> {
        let conversion = match &entry.kind {
            EntryKind::LoyaltyRow => None,
            EntryKind::Conversion(conversion) => Some(conversion),
        };
        Record {
            email: text(email),
            at: self.line_index.location(entry.number),
            conversion: conversion.map(|conversion| conversion.kind.name()),
            promo: conversion.map(|conversion| text(&conversion.promo)),
            channel: conversion.and_then(|conversion| conversion.channel.as_deref().map(text)),
            items: conversion
                .and_then(|conversion| Some(conversion.items.as_ref()?.iter().map(|id| text(id)).collect())),
            total_cost: conversion.and_then(|conversion| conversion.total_cost.as_deref().map(text)),
            member: entry.was_member,
            send: conversion.map(|conversion| conversion.decision.send),
            enrolled: conversion.map(|conversion| conversion.decision.enrolled),
            why: reason(entry, history),
        }
    }
}

/// Channel, items and total cost in one column.
fn detail(conversion: &ConversionEntry) -> String {
    let channel = conversion.channel.as_deref().map(|channel| Escaped(channel).to_string());
    let items = conversion.items.as_ref().map(|items| format!("[{}]", Escaped(&items.join(&b";"[..]))));
    let total_cost = conversion.total_cost.as_deref().map(|cost| Escaped(cost).to_string());
    [channel, items, total_cost].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Bytes as text for JSON. Bytes that are not UTF-8 become U+FFFD.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A line of the JSONL report.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Record(Record<'a>),
    Customer(Customer<'a>),
}

/// One record of a customer. The fields of a conversion are `None` for a loyalty row.
#[derive(Serialize)]
struct Record<'a> {
    email: Cow<'a, str>,
    #[serde(flatten)]
    at: Location,
    conversion: Option<&'static str>,
    promo: Option<Cow<'a, str>>,
    #[serde(rename = "where")]
    channel: Option<Cow<'a, str>>,
    items: Option<Vec<Cow<'a, str>>>,
    total_cost: Option<Cow<'a, str>>,
    /// Whether the customer was a member before this record.
    member: bool,
    send: Option<bool>,
    enrolled: Option<bool>,
    why: &'static str,
}

/// A customer's totals and near matches.
#[derive(Serialize)]
struct Customer<'a> {
    email: Cow<'a, str>,
    /// Whether a record has this email.
    found: bool,
    member_since: Option<Location>,
    #[serde(flatten)]
    totals: Totals,
    near_matches: Vec<NearMatch<'a>>,
}

/// An email that differs only by case or white space.
#[derive(Serialize)]
struct NearMatch<'a> {
    email: Cow<'a, str>,
    records: usize,
    first: Location,
}
