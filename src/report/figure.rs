//! What a figure is: its name, its definition, and how it is computed from the counts of a row. A table is defined by
//! its figures.

use super::money::Sum;
use super::names::RowNames;
use super::table::{Column, Layout, Row, Table, Value};

/// A figure of a row that is counted in a `T`.
pub struct Figure<T> {
    pub column: Column,
    pub formula: Formula<T>,
}

/// How a figure is computed.
pub enum Formula<T> {
    Count(fn(&T) -> u64),
    Money(fn(&T) -> Sum),
    /// A sum of money divided by a number.
    MoneyPer(fn(&T) -> (Sum, u64)),
    /// A part of a whole.
    Share(fn(&T) -> (u64, u64)),
    /// A number divided by a number.
    Mean(fn(&T) -> (u64, u64)),
    /// A difference in hundredths of a percentage point.
    Points(fn(&T) -> Option<i64>),
    Text(fn(&T) -> Option<String>),
}

/// A mean has at least this many digits after the point.
const MIN_MEAN_DECIMALS: u8 = 2;

impl<T> Figure<T> {
    /// The value for a row. Sums of money have `decimals` digits after the point.
    pub fn value(&self, counts: &T, decimals: u8) -> Value {
        match self.formula {
            Formula::Count(count) => Value::Count(count(counts)),
            Formula::Money(sum) => Value::Money(sum(counts).decimal(decimals)),
            Formula::MoneyPer(quotient) => {
                let (sum, count) = quotient(counts);
                sum.mean(count, decimals.max(MIN_MEAN_DECIMALS)).map_or(Value::Nothing, Value::Money)
            }
            Formula::Share(share) => {
                let (part, whole) = share(counts);
                Value::Share { part, whole }
            }
            Formula::Mean(mean) => {
                let (sum, count) = mean(counts);
                Value::Mean { sum, count }
            }
            Formula::Points(points) => points(counts).map_or(Value::Nothing, Value::Points),
            Formula::Text(text) => text(counts).map_or(Value::Nothing, Value::Text),
        }
    }

    /// The same figure, omitted if no row has a value other than 0.
    pub const fn optional(mut self) -> Self {
        self.column.is_optional = true;
        self
    }
}

/// A table of rows that are counted in a `T`.
pub struct Definition<T: 'static> {
    pub key: &'static str,
    pub title: &'static str,
    pub names: &'static [&'static str],
    pub layout: Layout,
    pub figures: &'static [Figure<T>],
}

impl<T> Definition<T> {
    /// The table of these rows; `None` if there are too many.
    pub fn table(&self, decimals: u8, rows: Option<&[(RowNames, T)]>) -> Table {
        let row = |(names, counts): &(RowNames, T)| {
            let values = self.figures.iter().map(|figure| figure.value(counts, decimals)).collect();
            Row { names: names.clone(), values }
        };
        Table {
            key: self.key,
            title: self.title,
            names: self.names,
            columns: self.figures.iter().map(|figure| figure.column).collect(),
            rows: rows.map(|rows| rows.iter().map(row).collect()),
            layout: self.layout,
        }
    }
}

/// The key, the heading and the definition of a figure.
pub type Words = [&'static str; 3];

pub const fn figure<T>([key, heading, about]: Words, formula: Formula<T>) -> Figure<T> {
    Figure { column: Column { key, heading, about, is_optional: false }, formula }
}

pub const fn count<T>(words: Words, of: fn(&T) -> u64) -> Figure<T> {
    figure(words, Formula::Count(of))
}

pub const fn money<T>(words: Words, of: fn(&T) -> Sum) -> Figure<T> {
    figure(words, Formula::Money(of))
}

pub const fn share<T>(words: Words, of: fn(&T) -> (u64, u64)) -> Figure<T> {
    figure(words, Formula::Share(of))
}

pub const fn mean<T>(words: Words, of: fn(&T) -> (u64, u64)) -> Figure<T> {
    figure(words, Formula::Mean(of))
}

pub const fn money_per<T>(words: Words, of: fn(&T) -> (Sum, u64)) -> Figure<T> {
    figure(words, Formula::MoneyPer(of))
}
