//! Customers' stories in words, and as JSON lines.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::places::At;
use crate::computation::{Moment, Stories, Story, What};
use crate::encoder::write_json_line;
use crate::record::{ConversionKind, Escaped};
use crate::source::Numbering;

/// How many near misses are told to people.
const TOLD_NEAR_MISSES: usize = 10;

/// How many characters of a promo are told to people.
const PROMO_CHARS: usize = 24;

/// What the stories are told from.
#[derive(Debug)]
pub struct Teller<'a> {
    /// What happened.
    pub stories: &'a Stories,
    /// Where it stands.
    pub numbering: &'a Numbering,
    /// How many bad records were skipped. What they would have told is not known.
    pub skipped: u64,
}

/// Why a record led to what it led to, given whether the customer became a member later. The decision is the campaign's;
/// here it is put into words.
const fn why(moment: &Moment, later: bool) -> &'static str {
    match (&moment.what, moment.member) {
        (What::Listed, false) => "on the loyalty list: a member from here on",
        (What::Listed, true) => "a member already: this later row is kept",
        (What::Decided { kind, decision, .. }, member) => match kind {
            ConversionKind::Click if decision.send => "a member clicked",
            ConversionKind::Click if later => "not a member yet",
            ConversionKind::Click => "not a member",
            ConversionKind::Basket => "a basket gets no code",
            ConversionKind::Purchase if decision.enrolled => "bought: a member from here on",
            ConversionKind::Purchase if member => "a member bought: only clicks get a code",
            ConversionKind::Purchase => "a purchase gets no code",
        },
    }
}

impl Story {
    fn why(&self, moment: &Moment) -> &'static str {
        why(moment, self.member_since.is_some_and(|since| since > moment.number))
    }

    fn first(&self) -> u64 {
        self.moments.first().map_or(0, |moment| moment.number)
    }
}

/// How often a customer did what.
#[derive(Debug, Default, Serialize)]
struct Tally {
    loyalty_rows: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    codes: u64,
}

impl Tally {
    fn of(story: &Story) -> Self {
        let mut tally = Self::default();
        for moment in &story.moments {
            match &moment.what {
                What::Listed => tally.loyalty_rows += 1,
                What::Decided { kind, decision, .. } => {
                    tally.codes += u64::from(decision.send);
                    match kind {
                        ConversionKind::Click => tally.clicks += 1,
                        ConversionKind::Basket => tally.baskets += 1,
                        ConversionKind::Purchase => tally.purchases += 1,
                    }
                }
            }
        }
        tally
    }
}

/// `1 click`, `2 clicks`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Teller<'_> {
    /// Tells people the story of `email`.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn tell(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", Escaped(email))?;
        match self.stories.of(email) {
            Some(story) => self.tell_story(story, out)?,
            None if self.skipped == 0 => writeln!(out, "  occurs in no record")?,
            None => {
                let bad = counted(self.skipped, "bad one");
                let were = if self.skipped == 1 { "was" } else { "were" };
                writeln!(out, "  occurs in no good record ({bad} {were} skipped)")?;
            }
        }
        let found = self.stories.of(email).is_some();
        let mut near_misses = self.stories.near_misses(email);
        for (other, story) in near_misses.by_ref().take(TOLD_NEAR_MISSES) {
            let records = counted(story.moments.len() as u64, "record");
            let first = self.numbering.place(story.first());
            let (before, behind) = if found { ("another customer is", "") } else { ("did you mean", "?") };
            writeln!(out, "  {before} \"{}\"{behind} ({records}, the first at {first})", Escaped(other))?;
        }
        match near_misses.count() {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more that differ only by case or white space"),
        }
    }

    fn tell_story(&self, story: &Story, out: &mut impl Write) -> io::Result<()> {
        let place = |moment: &Moment| self.numbering.place(moment.number);
        let promo = |moment: &Moment| match &moment.what {
            What::Listed => String::new(),
            What::Decided { promo, .. } => shortened(Escaped(promo).to_string()),
        };
        let width = |of: &dyn Fn(&Moment) -> String| {
            story.moments.iter().map(|moment| of(moment).chars().count()).max().unwrap_or_default()
        };
        let (place_width, promo_width) = (width(&place), width(&promo));
        for moment in &story.moments {
            let (what, answer) = match &moment.what {
                What::Listed => ("loyalty row", ""),
                What::Decided { kind, decision, .. } => (kind.name(), if decision.send { "True" } else { "False" }),
            };
            let (place, promo, why) = (place(moment), promo(moment), story.why(moment));
            writeln!(out, "  {place:place_width$}  {what:<18}  {promo:promo_width$}  {answer:<5}  {why}")?;
        }
        let since = match story.member_since {
            Some(number) => format!("a member since {}", self.numbering.place(number)),
            None => "not a member".to_owned(),
        };
        let Tally { clicks, baskets, purchases, codes, .. } = Tally::of(story);
        let [clicks, baskets] = [counted(clicks, "click"), counted(baskets, "basket")];
        let [purchases, codes] = [counted(purchases, "purchase"), counted(codes, "code")];
        writeln!(out, "  {since}; {clicks}, {baskets}, {purchases}; {codes}")
    }

    /// Tells programs the story of `email`: a line for each record, and one for the customer.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn tell_in_json(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        let story = self.stories.of(email);
        for (story, moment) in story.into_iter().flat_map(|story| story.moments.iter().map(move |one| (story, one))) {
            write_json_line(&Line::Record(self.record(email, story, moment)), &mut *out)?;
        }
        let near_misses = self.stories.near_misses(email).map(|(other, story)| NearMiss {
            email: text(other),
            records: story.moments.len(),
            first: At::of(self.numbering, story.first()),
        });
        let customer = Customer {
            email: text(email),
            found: story.is_some(),
            member_since: story.and_then(|story| At::of(self.numbering, story.member_since?)),
            tally: story.map(Tally::of).unwrap_or_default(),
            near_misses: near_misses.collect(),
        };
        write_json_line(&Line::Customer(customer), out)
    }

    fn record<'b>(&'b self, email: &'b [u8], story: &Story, moment: &'b Moment) -> Record<'b> {
        let (conversion, promo, decision) = match &moment.what {
            What::Listed => (None, None, None),
            What::Decided { kind, promo, decision } => (Some(kind.name()), Some(text(promo)), Some(*decision)),
        };
        Record {
            email: text(email),
            at: At::of(self.numbering, moment.number),
            conversion,
            promo,
            member: moment.member,
            send: decision.map(|decision| decision.send),
            enrolled: decision.map(|decision| decision.enrolled),
            why: story.why(moment),
        }
    }
}

fn shortened(promo: String) -> String {
    if promo.chars().count() <= PROMO_CHARS {
        promo
    } else {
        promo.chars().take(PROMO_CHARS - 1).chain(['…']).collect()
    }
}

/// Bytes in JSON, which is UTF-8: what is not becomes U+FFFD.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A line for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Record(Record<'a>),
    Customer(Customer<'a>),
}

/// One record of a customer. A loyalty row is no conversion, and decides nothing.
#[derive(Serialize)]
struct Record<'a> {
    email: Cow<'a, str>,
    #[serde(flatten)]
    at: Option<At<'a>>,
    conversion: Option<&'static str>,
    promo: Option<Cow<'a, str>>,
    /// Whether the customer was a member before this record.
    member: bool,
    send: Option<bool>,
    enrolled: Option<bool>,
    why: &'static str,
}

/// A customer, all in all.
#[derive(Serialize)]
struct Customer<'a> {
    email: Cow<'a, str>,
    /// Whether any record has this email.
    found: bool,
    member_since: Option<At<'a>>,
    #[serde(flatten)]
    tally: Tally,
    near_misses: Vec<NearMiss<'a>>,
}

/// An email that differs only by case or white space.
#[derive(Serialize)]
struct NearMiss<'a> {
    email: Cow<'a, str>,
    records: usize,
    first: Option<At<'a>>,
}
