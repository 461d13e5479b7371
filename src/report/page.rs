//! The tables as an HTML page with charts: one file, without scripts and external resources.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts::{Bar, bars, line};
use super::names::{MAX_NAME_BYTES, MAX_NAMES};
use super::table::{Layout, Row, Table, Value};

const STYLE: &str = include_str!("page.css");

/// Names are escaped. As a second defence, the browser runs no scripts and loads no resources.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The tables as a page, with the first `top` rows of long lists.
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
                    p { "“Members” are customers who were members at their first conversion; “non-members” were not, even if they became members later." }
                }
                (cards(&tables[0]))
                main {
                    @for table in tables {
                        (section(table, top))
                    }
                    (definitions(tables))
                }
            }
        }
    };
    page.into_string()
}

/// The figures of all customers that are shown first.
const CARDS: [&str; 6] = ["customers", "clicks", "codes", "purchases", "revenue", "new_members"];

fn cards(totals: &Table) -> Markup {
    let rows = totals.rows.as_ref().expect("there are always three groups");
    let cells = totals.cells(&rows[0]).filter(|(column, _)| CARDS.contains(&column.key));
    html! {
        dl.cards {
            @for (column, value) in cells {
                div { dt { (column.heading) } dd { (grouped(value)) } }
            }
        }
    }
}

fn section(table: &Table, top: usize) -> Markup {
    let (rows, more) = table.visible_rows(top);
    let list = list(table, &rows, more);
    html! {
        section {
            h2 { (table.title) }
            @match chart(table, &rows) {
                Some((caption, svg)) => {
                    div.beside {
                        figure { figcaption { (caption) } (PreEscaped(svg)) }
                        (list)
                    }
                }
                None => (list),
            }
        }
    }
}

fn list(table: &Table, rows: &[&Row], more: usize) -> Markup {
    html! {
        div {
            @if table.rows.is_none() {
                p { "More than " (MAX_NAMES) ", so none is listed." }
            } @else if rows.is_empty() {
                p { "None." }
            } @else {
                div.scroll {
                    @if table.layout == Layout::Transposed { (transposed(table, rows)) } @else { (row_by_row(table, rows)) }
                }
            }
            @if more > 0 { p { "And " (more) " more." } }
        }
    }
}

/// A line for each row.
fn row_by_row(table: &Table, rows: &[&Row]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    @for name in table.names { th.name scope="col" { (name) } }
                    @for column in &table.columns { th scope="col" { (column.heading.trim()) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for name in &row.names { th.name scope="row" { (name.display()) } }
                        @for value in &row.values { td { (grouped(value)) } }
                    }
                }
            }
        }
    }
}

/// A line for each figure.
fn transposed(table: &Table, rows: &[&Row]) -> Markup {
    html! {
        table {
            @if !table.names.is_empty() {
                thead {
                    tr {
                        th.name {}
                        @for row in rows { th scope="col" { (row.name()) } }
                    }
                }
            }
            tbody {
                @for (index, column) in table.visible_columns(rows) {
                    tr {
                        th.name.part[column.heading.starts_with(' ')] scope="row" { (column.heading.trim()) }
                        @for row in rows { td { (grouped(&row.values[index])) } }
                    }
                }
            }
        }
    }
}

/// The caption and the chart of the rows that are listed beside it.
fn chart(table: &Table, rows: &[&Row]) -> Option<(&'static str, String)> {
    let (caption, svg) = match table.key {
        "funnel" => ("Customers at each stage", bars(&funnel(table, rows))?),
        "channels" => ("Clicks by channel", bars(&by_name(table, rows, "clicks"))?),
        "items" => ("Revenue of orders that contain the item", bars(&by_name(table, rows, "revenue"))?),
        "timeline" => ("New members by number of conversions", line(&timeline(table))?),
        _ => return None,
    };
    Some((caption, svg))
}

/// A bar for each row.
fn by_name(table: &Table, rows: &[&Row], key: &str) -> Vec<Bar> {
    let bar = |row: &&Row| {
        let value = table.value(row, key);
        Bar { name: row.name(), length: value.to_f64(), value: grouped(value) }
    };
    rows.iter().map(bar).collect()
}

/// A bar for each stage of members and of non-members.
fn funnel(table: &Table, rows: &[&Row]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for row in rows.iter().skip(1) {
        for (column, value) in table.cells(row).filter(|(_, value)| matches!(value, Value::Count(_))) {
            let name = format!("{}: {}", row.name(), column.heading);
            bars.push(Bar { name, length: value.to_f64(), value: grouped(value) });
        }
    }
    bars
}

/// A point for each row.
fn timeline(table: &Table) -> Vec<(f64, f64)> {
    let point = |row| (table.value(row, "conversions").to_f64(), table.value(row, "new_members").to_f64());
    table.rows.iter().flatten().map(point).collect()
}

/// The definition of every figure.
fn definitions(tables: &[Table]) -> Markup {
    html! {
        section {
            h2 { "What the figures count" }
            div.meaning {
                @for table in tables {
                    div {
                        h3 { (table.title) }
                        dl {
                            @for column in &table.columns {
                                dt { (column.heading.trim()) ": " } dd { (column.about) "." }
                            }
                        }
                    }
                }
            }
            p {
                "A table has at most " (MAX_NAMES) " names. Names longer than " (MAX_NAME_BYTES)
                " bytes are counted together."
            }
        }
    }
}

/// A value with its digits in groups of three, separated by narrow no-break spaces.
fn grouped(value: &Value) -> String {
    let plain = value.display();
    let (whole, rest) = plain.split_at(plain.find(['.', ' ']).unwrap_or(plain.len()));
    let mut text = String::new();
    for (index, digit) in whole.char_indices() {
        if (whole.len() - index) % 3 == 0 && text.ends_with(|char: char| char.is_ascii_digit()) {
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
    fn digits_are_grouped_by_three() {
        for (plain, grouped) in [("7", "7"), ("123", "123"), ("-123", "-123"), ("1234567.8901", "1 234 567.8901")] {
            assert_eq!(super::grouped(&Value::Money(plain.to_owned())), grouped.replace(' ', "\u{202f}"));
        }
    }
}
