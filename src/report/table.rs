//! A table of figures: names, numbers, money.

use super::shown::shown;
use crate::tally::Label;

/// A table. What it says does not depend on how it is written.
#[derive(Debug, Clone)]
pub struct Table {
    /// What programs call it.
    pub key: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What the names of a row are, in words for both.
    pub names: &'static [&'static str],
    /// What is told of each row.
    pub figures: &'static [Figure],
    /// The rows. `None` when there would be too many to tell them apart.
    pub rows: Option<Vec<Row>>,
    /// What people see of it.
    pub listing: Listing,
}

/// A figure and its definition.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// What programs call it.
    pub key: &'static str,
    /// What people call it.
    pub heading: &'static str,
    /// What it counts.
    pub about: &'static str,
    /// Whether people see it even where it is 0 in every row.
    pub always: bool,
}

/// What people see of a table. Programs see all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Everything, with the rows beside each other and a line for each figure.
    Sideways,
    /// The first rows.
    Top,
    /// A few rows, from the first to the last.
    Sample,
}

/// A row: its names, and a value for each figure.
#[derive(Debug, Clone)]
pub struct Row {
    /// As many as the table has names for.
    pub names: Vec<Name>,
    /// As many as the table has figures.
    pub values: Vec<Value>,
}

/// What a row is about.
#[derive(Debug, Clone)]
pub enum Name {
    /// Words of this program.
    Ours(&'static str),
    /// A name from the data.
    Data(Label),
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// So many.
    Count(u64),
    /// A decimal number, exact or as its figure says.
    Money(String),
    /// A part of a whole. For people only: programs have both.
    Share {
        /// The part.
        part: u64,
        /// The whole.
        whole: u64,
    },
    /// There is none.
    Nothing,
}

impl Name {
    /// The name as a person reads it.
    pub fn shown(&self) -> String {
        match self {
            Self::Ours(name) => (*name).to_owned(),
            Self::Data(label) => shown(label),
        }
    }
}

impl Row {
    /// The first name as a person reads it.
    pub fn name(&self) -> String {
        self.names.first().map_or(String::new(), Name::shown)
    }
}

impl Value {
    /// The value as a number that can be drawn, which is not exact.
    pub fn for_drawing(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Money(money) => money.parse().unwrap_or(0.0),
            Self::Share { .. } | Self::Nothing => 0.0,
        }
    }

    /// The value in plain digits.
    pub fn plain(&self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Money(money) => money.clone(),
            Self::Share { part, whole } => per_cent(*part, *whole),
            Self::Nothing => String::new(),
        }
    }
}

/// A share in percent, rounded to one digit behind the point.
fn per_cent(part: u64, whole: u64) -> String {
    let (part, whole) = (u128::from(part), u128::from(whole));
    match (2_000 * part + whole).checked_div(2 * whole) {
        Some(per_mille) => format!("{}.{} %", per_mille / 10, per_mille % 10),
        None => String::new(),
    }
}

/// How many rows are enough to see how something went on.
const SAMPLE: usize = 10;

impl Table {
    /// A table whose rows have no names.
    pub const fn of(
        key: &'static str,
        title: &'static str,
        figures: &'static [Figure],
        listing: Listing,
        rows: Option<Vec<Row>>,
    ) -> Self {
        Self { key, title, names: &[], figures, rows, listing }
    }

    /// The table with these names for its rows.
    pub fn by(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    /// The rows that people see when they want the first `top` of long lists, and how many more there are.
    pub fn listed(&self, top: usize) -> (Vec<&Row>, usize) {
        let rows = self.rows.as_deref().unwrap_or_default();
        match self.listing {
            Listing::Sideways => (rows.iter().collect(), 0),
            Listing::Top => (rows.iter().take(top).collect(), rows.len().saturating_sub(top)),
            Listing::Sample => {
                let step = rows.len().div_ceil(SAMPLE).max(1);
                // Counted from the end: the last row is the one that says how it came out.
                let mut sample: Vec<_> = rows.iter().rev().step_by(step).collect();
                sample.reverse();
                (sample, 0)
            }
        }
    }
}

impl Table {
    /// The values of a row, each with its figure.
    pub fn values<'a>(&self, row: &'a Row) -> impl Iterator<Item = (&'static Figure, &'a Value)> {
        self.figures.iter().zip(&row.values)
    }

    /// The figures that people see of these rows, and which one of the row's values each of them is.
    pub fn shown_figures(&self, rows: &[&Row]) -> Vec<(usize, &Figure)> {
        let is_zero = |index| rows.iter().all(|row| matches!(row.values.get(index), Some(Value::Count(0))));
        self.figures.iter().enumerate().filter(|&(index, figure)| figure.always || !is_zero(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_and_nothing_has_no_share_of_nothing() {
        assert_eq!(per_cent(1, 3), "33.3 %");
        assert_eq!(per_cent(2, 3), "66.7 %");
        assert_eq!(per_cent(u64::MAX, u64::MAX), "100.0 %");
        assert_eq!(per_cent(0, 0), "");
    }

    #[test]
    fn a_sample_is_short_and_ends_with_the_last_row() {
        let row = |count: u64| Row { names: vec![], values: vec![Value::Count(count)] };
        for len in [0, 1, 9, 10, 11, 57, 100] {
            let rows = Some((1..=len).map(row).collect());
            let table = Table::of("", "", &[], Listing::Sample, rows);
            let (sample, more) = table.listed(3);
            assert!(sample.len() <= SAMPLE && more == 0);
            assert_eq!(sample.last().map(|row| row.values[0].plain()), (len > 0).then(|| len.to_string()));
        }
    }
}
