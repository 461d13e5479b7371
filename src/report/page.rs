//! Tables and pictures as a page: one file that needs no other, no script, and no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::{Bar, bars, line};
use super::table::{Figure, Listing, Row, Table, Value};
use crate::tally::{MAX_NAME_BYTES, MAX_NAMES};

const STYLE: &str = include_str!("page.css");

/// Whatever the page may hold, nothing in it is run and nothing is loaded.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The tables as a page; long lists have their first `top` rows.
pub fn page(tables: &[Table], top: usize) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Campaign report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Campaign report" }
                    p { "What the campaign did, counted by " code { "adseg report" } ". “Members” are customers who were \
                         members when their first conversion came, “others” everybody else." }
                }
                (cards(tables))
                main {
                    @for table in tables {
                        (section(table, top))
                    }
                    (meanings(tables))
                }
            }
        }
    };
    page.into_string()
}

/// The figures of the whole campaign that are asked for first.
const CARDS: [&str; 6] = ["customers", "clicks", "codes", "purchases", "revenue", "new_members"];

fn cards(tables: &[Table]) -> Markup {
    let totals = tables.first();
    let all = totals.and_then(|totals| totals.rows.as_deref()?.first());
    let of = |key: &str| {
        let (figure, value) = totals?.values(all?).find(|(figure, _)| figure.key == key)?;
        Some((figure.heading, grouped(value)))
    };
    html! {
        dl.cards {
            @for (heading, value) in CARDS.into_iter().filter_map(of) {
                div { dt { (heading) } dd { (value) } }
            }
        }
    }
}

fn section(table: &Table, top: usize) -> Markup {
    let (rows, more) = table.listed(top);
    let listed = listed(table, &rows, more);
    html! {
        section {
            h2 { (table.title) }
            @match picture(table, &rows) {
                Some((caption, svg)) => {
                    div.beside {
                        figure { figcaption { (caption) } (PreEscaped(svg)) }
                        (listed)
                    }
                }
                None => (listed),
            }
        }
    }
}

fn listed(table: &Table, rows: &[&Row], more: usize) -> Markup {
    html! {
        div {
            @if table.rows.is_none() {
                p { "More than " (MAX_NAMES) ", so they are not told apart." }
            } @else if rows.is_empty() {
                p { "None." }
            } @else {
                div.scroll {
                    @if table.listing == Listing::Sideways { (sideways(table, rows)) } @else { (downwards(table, rows)) }
                }
            }
            @if more > 0 { p { "And " (more) " more." } }
        }
    }
}

/// A line for each row.
fn downwards(table: &Table, rows: &[&Row]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    @for name in table.names { th.name scope="col" { (name) } }
                    @for figure in table.figures { th scope="col" { (figure.heading.trim()) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for name in &row.names { th.name scope="row" { (name.shown()) } }
                        @for value in &row.values { td { (grouped(value)) } }
                    }
                }
            }
        }
    }
}

/// A line for each figure.
fn sideways(table: &Table, rows: &[&Row]) -> Markup {
    html! {
        table {
            @if !table.names.is_empty() {
                thead {
                    tr {
                        th.name {}
                        @for row in rows { th scope="col" { @for name in &row.names { (name.shown()) } } }
                    }
                }
            }
            tbody {
                @for (index, figure) in table.shown_figures(rows) {
                    tr {
                        th.name.part[figure.heading.starts_with(' ')] scope="row" { (figure.heading.trim()) }
                        @for row in rows { td { (row.values.get(index).map_or(String::new(), grouped)) } }
                    }
                }
            }
        }
    }
}

/// The picture of a table, and what it shows: the same rows that are listed beside it.
fn picture(table: &Table, rows: &[&Row]) -> Option<(&'static str, String)> {
    let (caption, svg) = match table.key {
        "funnel" => ("How far customers went", bars(&funnel(table, rows))),
        "channels" => ("Clicks by channel", bars(&by_name(table, rows, "clicks"))),
        "items" => ("Revenue of the orders that hold an item", bars(&by_name(table, rows, "revenue"))),
        "course" => ("New members over the conversions of the log", line(&course(table))),
        _ => ("", None),
    };
    svg.map(|svg| (caption, svg))
}

/// A bar for each row, as long as this figure.
fn by_name(table: &Table, rows: &[&Row], figure: &str) -> Vec<Bar> {
    let bar = |row: &&Row| {
        let (_, value) = table.values(row).find(|(key, _)| key.key == figure)?;
        Some(Bar { name: row.name(), length: value.for_drawing(), value: grouped(value) })
    };
    rows.iter().filter_map(bar).collect()
}

/// A bar for each stage of each group but all.
fn funnel(table: &Table, rows: &[&Row]) -> Vec<Bar> {
    let of = |row: &&Row| {
        let stages = table.values(row).filter(|(_, value)| matches!(value, Value::Count(_)));
        let bar = |(figure, value): (&Figure, &Value)| Bar {
            name: format!("{}: {}", row.name(), figure.heading),
            length: value.for_drawing(),
            value: grouped(value),
        };
        stages.map(bar).collect::<Vec<_>>()
    };
    rows.iter().skip(1).flat_map(of).collect()
}

/// A point for each row.
fn course(table: &Table) -> Vec<(f64, f64)> {
    let point = |row: &Row| match row.values.as_slice() {
        [across, up] => Some((across.for_drawing(), up.for_drawing())),
        _ => None,
    };
    table.rows.iter().flatten().filter_map(point).collect()
}

/// What every figure counts.
fn meanings(tables: &[Table]) -> Markup {
    html! {
        section {
            h2 { "What the figures count" }
            div.meaning {
                @for table in tables {
                    div {
                        h3 { (table.title) }
                        dl {
                            @for figure in table.figures {
                                dt { (figure.heading.trim()) ": " } dd { (figure.about) "." }
                            }
                        }
                    }
                }
            }
            p {
                "Of names of one kind up to " (MAX_NAMES) " are told apart; those longer than " (MAX_NAME_BYTES)
                " bytes are counted together."
            }
        }
    }
}

/// A value with its digits in groups of three, by narrow spaces that break no line.
fn grouped(value: &Value) -> String {
    let plain = value.plain();
    let whole = plain.find(['.', ' ']).unwrap_or(plain.len());
    let (whole, rest) = plain.split_at_checked(whole).unwrap_or((&plain, ""));
    let mut text = String::new();
    for (index, digit) in whole.char_indices() {
        let left = whole.len().saturating_sub(index);
        if left % 3 == 0 && text.ends_with(|char: char| char.is_ascii_digit()) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (plain, grouped) in [("7", "7"), ("123", "123"), ("-123", "-123"), ("1234567.8901", "1 234 567.8901")] {
            assert_eq!(super::grouped(&Value::Money(plain.to_owned())), grouped.replace(' ', "\u{202f}"));
        }
    }
}
