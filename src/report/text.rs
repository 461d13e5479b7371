//! The report as text: tables for a terminal or a file, in the order of the page.

use std::iter;

use console::{Alignment, measure_text_width, pad_str, truncate_str};

use super::names::{MAX_NAMES, Name};
use super::sections::{Part, Report};
use super::table::{Layout, Row, Table};

/// The width of the report, in columns of a terminal.
const WIDTH: usize = 100;

/// The maximum width of a name. A name is shortened further if the table would be wider than [`WIDTH`].
const NAME_WIDTH: usize = 32;
const MIN_NAME_WIDTH: usize = 12;

/// The widths of the longest bar.
const MIN_BAR: usize = 8;
const MAX_BAR: usize = 30;

/// The report. If `with_bars`, bars follow the tables that leave space for them.
pub fn text(report: &Report, with_bars: bool) -> String {
    let Report { top, title, made, input_table, list_members, summary, .. } = report;
    let mut parts = vec![title.clone() + "\n"];
    parts[0].extend(made.iter().map(|made| format!("{made}\n")));
    parts.extend(summary.paragraphs.iter().map(|paragraph| wrap(paragraph)));
    for section in report.shown_sections() {
        parts.extend((!section.note.is_empty()).then(|| wrap(&section.note)));
        parts.extend(section.parts.iter().map(|Part { table, chart }| {
            let bars = chart.as_ref().filter(|_| with_bars).and_then(|chart| chart.text_bars());
            self::table(table, *top, bars.as_ref())
        }));
    }
    parts.push(table(input_table, *top, None) + &format!("  members in the loyalty list: {list_members}\n"));
    parts.join("\n")
}

/// The heading of the bars, and the length of the bar of each row as a share of the width.
type Bars = (&'static str, Vec<f64>);

/// The words of `text` in lines that are not longer than [`WIDTH`], if no word is.
fn wrap(text: &str) -> String {
    let (mut lines, mut width) = (String::new(), 0);
    for word in text.split(' ') {
        let word_width = measure_text_width(word);
        if width > 0 {
            let fits = width + 1 + word_width <= WIDTH;
            lines.push(if fits { ' ' } else { '\n' });
            width = if fits { width + 1 } else { 0 };
        }
        lines += word;
        width += word_width;
    }
    lines + "\n"
}

fn table(table: &Table, top: usize, bars: Option<&Bars>) -> String {
    let (rows, more) = table.split_rows(top);
    let (left_columns, mut lines) = match table.layout {
        Layout::Transposed => (1, transposed(table, rows)),
        Layout::Top | Layout::All => (table.names.len().max(1), row_by_row(table, rows)),
    };
    shorten_names(&mut lines, left_columns);
    let mut text = align(&lines, left_columns, bars);
    if table.rows.is_none() {
        text += &format!("  more than {MAX_NAMES}, so none is listed\n");
    } else if rows.is_empty() {
        text += "  none\n";
    } else if !more.is_empty() {
        text += &format!("  and {} more\n", more.len());
    }
    text
}

/// A line for each row. The title is the heading of the first column.
fn row_by_row(table: &Table, rows: &[Row]) -> Vec<Vec<String>> {
    let columns = table.visible_columns();
    let other_names = table.names.iter().skip(1).map(|name| (*name).to_owned());
    let headings = columns.iter().map(|(_, column)| column.heading.trim().to_owned());
    let head = iter::once(table.title.to_owned()).chain(other_names).chain(headings).collect();
    let line = |row: &Row| {
        let first_name = format!("  {}", row.names.first().map_or(String::new(), Name::display));
        let other_names = row.names.iter().skip(1).map(Name::display);
        let values = columns.iter().map(|&(index, _)| row.values[index].display());
        iter::once(first_name).chain(other_names).chain(values).collect()
    };
    iter::once(head).chain(rows.iter().map(line)).collect()
}

/// A line for each figure.
fn transposed(table: &Table, rows: &[Row]) -> Vec<Vec<String>> {
    let names = rows.iter().map(|row| row.names.first().map_or(String::new(), Name::display));
    let head = iter::once(table.title.to_owned()).chain(names).collect();
    let lines = table.visible_columns().into_iter().map(|(index, column)| {
        let values = rows.iter().map(|row| row.values[index].display());
        iter::once(format!("  {}", column.heading)).chain(values).collect()
    });
    iter::once(head).chain(lines).collect()
}

/// `text`, truncated to this width with an ellipsis.
pub fn truncate(text: &str, width: usize) -> String {
    truncate_str(text, width, "…").into_owned()
}

/// The widths of the columns.
fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; lines[0].len()];
    for line in lines {
        widths.iter_mut().zip(line).for_each(|(width, cell)| *width = measure_text_width(cell).max(*width));
    }
    widths
}

/// Shortens the names in the left columns until the table fits [`WIDTH`], but not below [`MIN_NAME_WIDTH`].
fn shorten_names(lines: &mut [Vec<String>], left_columns: usize) {
    let widths = widths(lines);
    let right: usize = widths[left_columns..].iter().map(|width| width + 2).sum();
    let most = WIDTH.saturating_sub(right + 2 * (left_columns - 1)) / left_columns;
    let most = most.clamp(MIN_NAME_WIDTH, NAME_WIDTH);
    for line in lines {
        line[..left_columns].iter_mut().for_each(|name| *name = truncate(name, most));
    }
}

/// Pads cells to columns: the first `left_columns` are aligned to the left, the others to the right. The bars follow the
/// lines if there is space for them.
fn align(lines: &[Vec<String>], left_columns: usize, bars: Option<&Bars>) -> String {
    let widths = widths(lines);
    let width: usize = widths.iter().map(|width| width + 2).sum();
    let space = WIDTH.saturating_sub(width).min(MAX_BAR);
    let bars = bars.filter(|_| space >= MIN_BAR).into_iter().flat_map(|(heading, lengths)| {
        iter::once(truncate(heading, space)).chain(lengths.iter().map(move |&length| bar(length, space)))
    });
    let mut text = String::new();
    for (line, bar) in lines.iter().zip(bars.chain(iter::repeat(String::new()))) {
        let cells = line.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            let alignment = if index < left_columns { Alignment::Left } else { Alignment::Right };
            pad_str(cell, width, alignment, None)
        });
        text += (cells.collect::<Vec<_>>().join("  ") + "  " + &bar).trim_end();
        text.push('\n');
    }
    text
}

/// A bar of eighths of a column.
fn bar(length: f64, width: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (length * width as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8].to_string().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_wrapped_between_words() {
        let text = vec!["word"; 50].join(" ");
        let wrapped = wrap(&text);
        assert!(wrapped.lines().all(|line| line.len() <= WIDTH), "{wrapped}");
        assert_eq!(wrapped.replace('\n', " ").trim_end(), text);
        assert_eq!(wrap(&"x".repeat(150)).lines().count(), 1);
    }

    #[test]
    fn names_are_shortened_until_the_table_fits() {
        let line = |name: usize, number: usize| vec!["n".repeat(name), "1".repeat(number), "1".repeat(30)];
        for (name, number, width) in [(90, 8, 32), (90, 40, 26), (90, 70, MIN_NAME_WIDTH), (9, 8, 9)] {
            let mut lines = [line(name, number), line(3, 1)];
            shorten_names(&mut lines, 1);
            assert_eq!(measure_text_width(&lines[0][0]), width);
        }
    }

    #[test]
    fn a_bar_has_eighths() {
        assert_eq!([bar(1.0, 4), bar(0.5, 3), bar(0.0, 9)], ["████", "█▌", ""]);
    }
}
