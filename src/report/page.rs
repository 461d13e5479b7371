//! The report as an HTML page with charts: one file, without scripts or external resources.
//!
//! A heading with a definition is a button that opens it, so it can be read with a mouse, a finger or a keyboard. Digits
//! are grouped by the style sheet, so a copied number is a number.

use std::collections::HashSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Chart, HeatCell};
use super::definitions::day;
use super::names::{MAX_NAME_BYTES, MAX_NAMES, Name, RowNames};
use super::sections::{Part, Report, Section};
use super::summary::{Card, grouped};
use super::table::{Column, Layout, Row, Table, Value};
use crate::engine::InputCounts;
use crate::escape::shorten;

const STYLE: &str = include_str!("page.css");

/// Names are escaped. As a second defence, the browser runs no scripts and loads no resources.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The maximum number of characters of a name.
const MAX_NAME_CHARS: usize = 60;

/// The maximum number of further rows that can be opened.
const MAX_MORE_ROWS: usize = 1_000;

/// A table with more columns is scrolled sideways on a phone.
const NARROW_COLUMNS: usize = 2;

/// A table with more columns is beside its chart only on a wide screen.
const BESIDE_COLUMNS: usize = 5;

/// Longer figures of a card are set in smaller digits.
const CARD_CHARS: usize = 10;
const LONG_CARD_CHARS: usize = 12;

/// The report as a page. The rows of a long list after the first ones are folded.
pub fn page(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                main {
                    @for section in report.shown_sections() { (section_of(section, report.top)) }
                    section {
                        h2 { "Inputs" }
                        (list(&report.input_table, report.top))
                    }
                    (definitions(report))
                }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    let (inputs, more) = report.inputs.split_at(report.inputs.len().min(3));
    html! {
        header {
            p.kind { "Campaign report" }
            h1 { (report.title) }
            p.inputs {
                @for (names, (_, counts)) in inputs { span { (input(&names[0], counts)) } " " }
                @if !more.is_empty() { span { "and " (more.len()) " more " (plural(more.len() as u64, "input")) } " " }
                span { (many(report.list_members, "member")) " in the loyalty list" }
                @if let Some(made) = &report.made { " " span { (made) } }
            }
            div.lead { @for paragraph in &report.summary.paragraphs { p { (paragraph) } } }
            @if !report.is_empty { dl.cards { @for card in &report.summary.cards { (card_of(card)) } } }
        }
    }
}

/// The name of an input, its records, and the time span of its conversions.
fn input(of: &Name, counts: &InputCounts) -> Markup {
    let days = counts.times.map(|(first, last)| [first, last].map(day));
    html! {
        (name(of)) ": " (many(counts.records, "record"))
        @if let Some([first, last]) = days {
            ", " (first)
            @if first != last { " to " (last) }
        }
    }
}

/// `1 record`, `1234 records`.
fn many(count: u64, what: &str) -> Markup {
    html! { (number(&Value::Count(count))) " " (plural(count, what)) }
}

fn plural(count: u64, what: &str) -> String {
    format!("{what}{}", if count == 1 { "" } else { "s" })
}

fn card_of(card: &Card) -> Markup {
    let chars = card.value.plain().len();
    let about = card.columns.map(|column| format!("{}: {}.", column.heading.trim(), column.about)).join(" ");
    html! {
        div {
            dt { (definition(&format!("card-{}", card.columns[0].key), card.label, &about)) }
            dd.figure.long[chars > CARD_CHARS].longer[chars > LONG_CARD_CHARS] { (number(&card.value)) }
            dd.rate { @if card.rate.display().is_empty() { "–" } @else { b { (number(&card.rate)) } " " (card.unit) } }
        }
    }
}

fn section_of(section: &Section, top: usize) -> Markup {
    html! {
        section {
            h2 { (section.title) }
            @if !section.note.is_empty() { p { (section.note) } }
            @for (index, part) in section.parts.iter().enumerate() {
                @if index > 0 { h3 { (part.table.title) } }
                (part_of(part, top))
            }
        }
    }
}

fn part_of(part: &Part, top: usize) -> Markup {
    let Part { table, chart } = part;
    let Some(chart) = chart else { return list(table, top) };
    html! {
        @if let Chart::Heat { caption, columns, rows } = chart {
            figure { figcaption { (caption) } (scroll(columns.len(), &heat(columns, rows))) }
            details.as-list { summary { "As a list" } (list(table, top)) }
        } @else {
            div.beside.wide[columns_of(table) > BESIDE_COLUMNS] {
                figure {
                    figcaption {
                        (chart.caption())
                        @if !chart.legend().is_empty() {
                            span.legend { @for (index, name) in chart.legend().iter().enumerate() { span { i.{ "s" (index) } {} (name) } " " } }
                        }
                    }
                    @if let Some(svg) = chart.svg() { (svg) }
                }
                (list(table, top))
            }
        }
    }
}

/// A promo in each row and a channel in each column.
fn heat(columns: &RowNames, rows: &[(RowNames, Vec<Option<HeatCell>>)]) -> Markup {
    html! {
        table.heat {
            thead { tr { th.name scope="col" { "promo" } @for channel in columns { th scope="col" { (name(channel)) } } } }
            tbody {
                @for (promo, cells) in rows {
                    tr {
                        th.name scope="row" { (name(&promo[0])) }
                        @for cell in cells {
                            @if let Some(HeatCell { number: clicks, heat, codes }) = cell {
                                td style={ "--heat:" (format!("{heat:.3}")) } title={ (clicks) " clicks, " (codes) " codes" } {
                                    (number(&Value::Count(*clicks)))
                                }
                            } @else {
                                td {}
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The table, and the rows after the first `top` folded below it.
fn list(table: &Table, top: usize) -> Markup {
    let (rows, more) = table.split_rows(top);
    html! {
        div {
            @if table.rows.is_none() {
                p { "More than " (grouped(MAX_NAMES as u64)) ", so none is listed." }
            } @else if rows.is_empty() {
                p { "None." }
            } @else if table.layout == Layout::Transposed {
                (scroll(columns_of(table), &transposed(table, rows)))
            } @else {
                (scroll(columns_of(table), &row_by_row(table, rows, heading)))
            }
            @if !more.is_empty() {
                details {
                    summary { "and " (more.len()) " more" }
                    @let more_rows = &more[..more.len().min(MAX_MORE_ROWS)];
                    (scroll(columns_of(table), &row_by_row(table, more_rows, |_, column| html! { (column.heading.trim()) })))
                    @if more.len() > MAX_MORE_ROWS {
                        p { "The other " (more.len() - MAX_MORE_ROWS) " are in the JSON and CSV formats of this report." }
                    }
                }
            }
        }
    }
}

/// A table that scrolls sideways if the screen is too narrow for it, which is then visible.
fn scroll(columns: usize, table: &Markup) -> Markup {
    html! {
        @if columns > NARROW_COLUMNS { p.swipe { "Swipe the table to see all columns →" } }
        div.scroll tabindex="0" { (table) }
    }
}

/// The number of columns after the first one.
fn columns_of(table: &Table) -> usize {
    match table.layout {
        Layout::Transposed => table.rows.iter().flatten().count(),
        Layout::Top | Layout::All => (table.names.len() + table.visible_columns().len()).saturating_sub(1),
    }
}

/// A line for each row.
fn row_by_row(table: &Table, rows: &[Row], heading: impl Fn(&Table, &Column) -> Markup) -> Markup {
    let columns = table.visible_columns();
    html! {
        table {
            thead {
                tr {
                    @for name in table.names { th.name scope="col" { (name) } }
                    @for (_, column) in &columns { th scope="col" { (heading(table, column)) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for of_row in &row.names { th.name scope="row" { (name(of_row)) } }
                        @for &(index, _) in &columns { td { (number(&row.values[index])) } }
                    }
                }
            }
        }
    }
}

/// A line for each figure.
fn transposed(table: &Table, rows: &[Row]) -> Markup {
    html! {
        table.figures {
            @if !table.names.is_empty() {
                thead {
                    tr {
                        th.name {}
                        @for row in rows { th scope="col" { (name(&row.names[0])) } }
                    }
                }
            }
            tbody {
                @for (index, column) in table.visible_columns() {
                    tr {
                        th.name.part[column.heading.starts_with(' ')] scope="row" { (heading(table, column)) }
                        @for row in rows { td { (number(&row.values[index])) } }
                    }
                }
            }
        }
    }
}

fn heading(table: &Table, column: &Column) -> Markup {
    definition(&format!("{}-{}", table.key, column.key), column.heading.trim(), &format!("{}.", column.about))
}

/// A text with a definition, which appears when it is pointed at, and opens when it is pressed.
fn definition(id: &str, text: &str, about: &str) -> Markup {
    html! {
        button type="button" popovertarget=(id) title=(about) { (text) }
        span.about popover id=(id) { b { (text) } " " (about) }
    }
}

/// A name, which is shortened if it is long. The whole name appears when it is pointed at.
fn name(name: &Name) -> Markup {
    let (whole, short) = (name.display(), shorten(name.display(), MAX_NAME_CHARS));
    html! {
        @if name.is_described() { em { (whole) } } @else if whole == short { (whole) } @else { span title=(whole) { (short) } }
    }
}

/// A value whose groups of three digits are set apart by the style sheet.
fn number(value: &Value) -> Markup {
    let groups = value.digit_groups();
    html! {
        (groups[0])
        @for group in &groups[1..] { i { (group) } }
    }
}

/// The figures of each table that no table before it defines with the same words.
fn new_definitions(report: &Report) -> impl Iterator<Item = (&'static str, Vec<&Column>)> {
    let mut known = HashSet::new();
    let tables = report.tables().into_iter();
    let new = tables.map(move |table| {
        let is_new = |column: &&Column| known.insert((column.heading.trim(), column.about));
        (table.title, table.columns.iter().filter(is_new).collect::<Vec<_>>())
    });
    new.filter(|(_, columns)| !columns.is_empty())
}

/// The definition of every figure, for print.
fn definitions(report: &Report) -> Markup {
    html! {
        section {
            h2 { "What the figures count" }
            div.meaning {
                @for (title, columns) in new_definitions(report) {
                    div {
                        h3 { (title) }
                        dl {
                            @for column in columns {
                                dt { (column.heading.trim()) ": " } dd { (column.about) "." }
                            }
                        }
                    }
                }
            }
            p {
                "A table has at most " (grouped(MAX_NAMES as u64)) " names. Names longer than " (MAX_NAME_BYTES)
                " bytes are counted together."
            }
        }
    }
}
