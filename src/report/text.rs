//! Tables for people, in a terminal.

use std::iter;

use console::{Alignment, measure_text_width, pad_str, truncate_str};

use super::table::{Listing, Row, Table};
use crate::tally::MAX_NAMES;

/// How wide a name may be.
const NAME_WIDTH: usize = 32;

/// The tables one below the other, with the first `top` rows of long lists.
pub fn text(tables: &[Table], top: usize) -> String {
    let tables: Vec<String> = tables.iter().map(|table| self::table(table, top)).collect();
    tables.join("\n")
}

fn table(table: &Table, top: usize) -> String {
    let (rows, more) = table.listed(top);
    let (names, lines) = match table.listing {
        Listing::Sideways => (1, sideways(table, &rows)),
        _ => (table.names.len().max(1), downwards(table, &rows)),
    };
    let mut text = aligned(&lines, names);
    if table.rows.is_none() {
        text += &format!("  more than {MAX_NAMES}, so they are not told apart\n");
    } else if rows.is_empty() {
        text += "  none\n";
    } else if more > 0 {
        text += &format!("  and {more} more\n");
    }
    text
}

/// A line for each row.
fn downwards(table: &Table, rows: &[&Row]) -> Vec<Vec<String>> {
    let other_names = table.names.iter().skip(1).map(|name| (*name).to_owned());
    let headings = table.figures.iter().map(|figure| figure.heading.trim().to_owned());
    let head = iter::once(table.title.to_owned()).chain(other_names).chain(headings).collect();
    let line = |row: &&Row| {
        let mut names: Vec<String> = row.names.iter().map(|name| cut(&name.shown())).collect();
        names.resize(names.len().max(1), String::new());
        names.iter_mut().take(1).for_each(|name| name.insert_str(0, "  "));
        names.into_iter().chain(row.values.iter().map(|value| value.plain())).collect()
    };
    iter::once(head).chain(rows.iter().map(line)).collect()
}

/// A line for each figure.
fn sideways(table: &Table, rows: &[&Row]) -> Vec<Vec<String>> {
    let names = rows.iter().map(|row| cut(&row.name()));
    let head = iter::once(table.title.to_owned()).chain(names).collect();
    let line = |(index, figure): (usize, &super::Figure)| {
        let values = rows.iter().map(|row| row.values.get(index).map_or(String::new(), |value| value.plain()));
        iter::once(format!("  {}", figure.heading)).chain(values).collect()
    };
    iter::once(head).chain(table.shown_figures(rows).into_iter().map(line)).collect()
}

fn cut(name: &str) -> String {
    truncate_str(name, NAME_WIDTH, "…").into_owned()
}

/// Lines with their cells below each other: so many names to the left, then numbers to the right.
fn aligned(lines: &[Vec<String>], names: usize) -> String {
    let mut widths = Vec::new();
    for line in lines {
        widths.resize(line.len().max(widths.len()), 0);
        widths.iter_mut().zip(line).for_each(|(width, cell)| *width = measure_text_width(cell).max(*width));
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            let alignment = if index < names { Alignment::Left } else { Alignment::Right };
            pad_str(cell, width, alignment, None)
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
