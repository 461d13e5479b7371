//! What hangs on the order of the files, in words and as JSON lines.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::places::At;
use crate::computation::{FileOrder, Hanging};
use crate::encoder::write_json_line;
use crate::record::Escaped;
use crate::source::Numbering;

/// How many customers' clicks are told to people who do not ask for all.
const TOLD_CLICKS: usize = 10;

/// How many pairs of files are told to them.
const TOLD_PAIRS: usize = 20;

/// What the report is made from.
#[derive(Debug)]
pub struct OrderReport<'a> {
    /// The conversions files: the index of the input, and what messages call it.
    pub files: Vec<(usize, String)>,
    /// What hangs on their order.
    pub hanging: &'a [Hanging],
    /// Where records stand.
    pub numbering: &'a Numbering,
}

/// A click, or as many of one customer in one file as are told together.
struct Told<'a> {
    number: u64,
    clicks: u64,
    hanging: &'a Hanging,
}

/// All files in another order, or in the one given.
#[derive(Serialize)]
struct Order<'a> {
    codes: u64,
    files: Vec<&'a str>,
    #[serde(skip)]
    is_given: bool,
}

impl OrderReport<'_> {
    fn clicks(&self) -> u64 {
        self.hanging.iter().map(|hanging| hanging.clicks.count).sum()
    }

    /// How many of them get a code in the order given.
    fn codes(&self) -> u64 {
        self.hanging.iter().filter(|hanging| hanging.clicks.send).map(|hanging| hanging.clicks.count).sum()
    }

    /// The clicks in input order, each on its own if every one was remembered.
    fn told(&self, every_click: bool) -> Vec<Told<'_>> {
        let mut told = Vec::new();
        for hanging in self.hanging {
            let clicks = if every_click { 1 } else { hanging.clicks.count };
            let numbers = std::iter::once(&hanging.clicks.first).chain(&hanging.clicks.others);
            told.extend(numbers.map(|&number| Told { number, clicks, hanging }));
        }
        told.sort_unstable_by_key(|told| told.number);
        told
    }

    /// How many clicks in the first file hang on purchases in the second.
    fn pairs(&self) -> BTreeMap<(usize, usize), u64> {
        let mut pairs = BTreeMap::new();
        for hanging in self.hanging {
            for (bought_in, _) in &hanging.purchases {
                *pairs.entry((hanging.input, *bought_in)).or_default() += hanging.clicks.count;
            }
        }
        pairs
    }

    fn name(&self, input: usize) -> &str {
        self.files.iter().find(|(index, _)| *index == input).map_or("", |(_, name)| name)
    }

    /// An order of the files that matter, with the others behind them, where they do as well as anywhere.
    fn order(&self, order: &FileOrder) -> Order<'_> {
        let is_given = order.inputs.is_sorted();
        let mut files: Vec<_> = self.files.iter().collect();
        if !is_given {
            let place = |input: &usize| order.inputs.iter().position(|other| other == input);
            files.sort_by_key(|(input, _)| place(input).unwrap_or(usize::MAX));
        }
        Order { codes: order.codes, files: files.into_iter().map(|(_, name)| name.as_str()).collect(), is_given }
    }

    /// The orders that give the most and the fewest codes.
    fn extremes(&self) -> Option<(Order<'_>, Order<'_>)> {
        let (most, fewest) = FileOrder::extremes(self.hanging)?;
        Some((self.order(&most), self.order(&fewest)))
    }

    /// Writes the report for people.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_text(&self, every_click: bool, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        if self.hanging.is_empty() {
            let only = if self.files.len() == 1 { ", there is only one" } else { "" };
            writeln!(out, "no click hangs on the order of the conversions files{only}")?;
            return out.flush();
        }
        let (clicks, codes) = (self.clicks(), self.codes());
        let (subject, get) = (hang(clicks), if codes == 1 { "gets" } else { "get" });
        writeln!(
            out,
            "{subject} on the order of the conversions files; in the order given, {codes} of them {get} a code"
        )?;
        let told = self.told(every_click);
        let listed = if every_click { &told } else { told.get(..TOLD_CLICKS).unwrap_or(&told) };
        self.write_clicks(listed, &mut out)?;
        if let more @ 1.. = told.len() - listed.len() {
            writeln!(out, "  and clicks of {more} more (--all tells every click)")?;
        }
        writeln!(out)?;
        self.write_pairs(every_click, &mut out)?;
        if let Some((most, fewest)) = self.extremes() {
            writeln!(out)?;
            for (what, order) in [("most codes:  ", most), ("fewest codes:", fewest)] {
                let given = if order.is_given { " (the order given)" } else { "" };
                writeln!(out, "{what} {}, with {}{given}", order.codes, order.files.join(", then "))?;
            }
        }
        out.flush()
    }

    /// Writes the pairs of files, the ones with the most clicks first.
    fn write_pairs(&self, every_pair: bool, out: &mut impl Write) -> io::Result<()> {
        let mut pairs: Vec<_> = self.pairs().into_iter().collect();
        pairs.sort_by_key(|(_, clicks)| Reverse(*clicks));
        let listed = if every_pair { &pairs } else { pairs.get(..TOLD_PAIRS).unwrap_or(&pairs) };
        for ((clicked_in, bought_in), clicks) in listed {
            let (clicked_in, bought_in) = (self.name(*clicked_in), self.name(*bought_in));
            writeln!(out, "in {clicked_in}, {} on purchases in {bought_in}", hang(*clicks))?;
        }
        match pairs.len() - listed.len() {
            0 => Ok(()),
            more => writeln!(out, "and clicks on purchases in {more} more pairs of files (--all tells every one)"),
        }
    }

    fn write_clicks(&self, told: &[Told<'_>], out: &mut impl Write) -> io::Result<()> {
        let place = |told: &Told<'_>| self.numbering.place(told.number);
        let email = |told: &Told<'_>| Escaped(&told.hanging.email).to_string();
        let width = |of: &dyn Fn(&Told<'_>) -> String| {
            told.iter().map(|told| of(told).chars().count()).max().unwrap_or_default()
        };
        let (place_width, email_width) = (width(&place), width(&email));
        for told in told {
            let (place, email, answer) =
                (place(told), email(told), if told.hanging.clicks.send { "True" } else { "False" });
            let bought: Vec<_> =
                told.hanging.purchases.iter().map(|(_, number)| self.numbering.place(*number)).collect();
            let bought = bought.join(", ");
            let more = match told.clicks - 1 {
                0 => String::new(),
                1 => "; 1 more click like this".to_owned(),
                more => format!("; {more} more clicks like this"),
            };
            writeln!(out, "  {place:place_width$}  {email:email_width$}  {answer:<5}  bought at {bought}{more}")?;
        }
        Ok(())
    }

    /// Writes the report for programs.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_jsonl(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        for Told { number, hanging, .. } in self.told(true) {
            let click = Line::Click {
                at: At::of(self.numbering, number),
                email: String::from_utf8_lossy(&hanging.email),
                send: hanging.clicks.send,
                bought: hanging.purchases.iter().filter_map(|(_, number)| At::of(self.numbering, *number)).collect(),
            };
            write_json_line(&click, &mut out)?;
        }
        for ((clicked_in, bought_in), clicks) in self.pairs() {
            let (clicked_in, bought_in) = (self.name(clicked_in), self.name(bought_in));
            write_json_line(&Line::Pair { clicked_in, bought_in, clicks }, &mut out)?;
        }
        let (most, fewest) = self.extremes().unzip();
        write_json_line(&Line::Summary { clicks: self.clicks(), codes: self.codes(), most, fewest }, &mut out)?;
        out.flush()
    }
}

/// `1 click hangs`, `2 clicks hang`.
fn hang(clicks: u64) -> String {
    if clicks == 1 { "1 click hangs".to_owned() } else { format!("{clicks} clicks hang") }
}

/// A line for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    /// A click that hangs on the order.
    Click {
        #[serde(flatten)]
        at: Option<At<'a>>,
        email: Cow<'a, str>,
        /// What is decided in the order given.
        send: bool,
        /// The first purchase in each other file that has one.
        bought: Vec<At<'a>>,
    },
    /// How many clicks in one file hang on purchases in another.
    Pair { clicked_in: &'a str, bought_in: &'a str, clicks: u64 },
    /// Everything together.
    Summary {
        clicks: u64,
        /// How many of them get a code in the order given.
        codes: u64,
        /// `null` when there are too many files to tell.
        most: Option<Order<'a>>,
        fewest: Option<Order<'a>>,
    },
}
