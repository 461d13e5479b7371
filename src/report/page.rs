//! The tables as an HTML page with charts: one file, without scripts or external resources.
//!
//! The charts are inline SVG, sized for a phone screen, so their text is never scaled down. The page sets the colour of
//! the text; the other colours fit light and dark pages. The table beside a chart has the exact numbers.

use console::truncate_str;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

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
    let by_name = |key| rows.iter().map(|row| (row.name(), table.value(row, key))).collect::<Vec<_>>();
    let (caption, svg) = match table.key {
        "funnel" => ("Customers at each stage", bars(&funnel(table, rows))?),
        "channels" => ("Clicks by channel", bars(&by_name("clicks"))?),
        "items" => ("Revenue of purchases that contain the item", bars(&by_name("revenue"))?),
        "timeline" if !table.names.is_empty() => {
            let periods = table.rows.iter().flatten().map(|row| (row.name(), table.value(row, "conversions")));
            ("Conversions by time", bars(&periods.collect::<Vec<_>>())?)
        }
        "timeline" => {
            let point = |row| (table.value(row, "conversions").to_f64(), table.value(row, "new_members").to_f64());
            let points: Vec<_> = table.rows.iter().flatten().map(point).collect();
            ("New members by number of conversions", line(&points)?)
        }
        _ => return None,
    };
    Some((caption, svg))
}

/// A bar for each stage of members and of non-members.
fn funnel<'a>(table: &'a Table, rows: &[&'a Row]) -> Vec<Bar<'a>> {
    let bars = rows.iter().skip(1).flat_map(|row| {
        let stages = table.cells(row).filter(|(_, value)| matches!(value, Value::Count(_)));
        stages.map(|(column, value)| (format!("{}: {}", row.name(), column.heading), value))
    });
    bars.collect()
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

/// Widths and heights in SVG units, which are pixels on a phone.
const WIDTH: u32 = 360;
const BAR_HEIGHT: i32 = 12;
const ROW_HEIGHT: i32 = 44;
const LINE_HEIGHT: u32 = 220;
const TEXT_SIZE: u32 = 16;

/// The maximum number of bars of a chart, and the maximum width of a name, in characters.
const MAX_BARS: usize = 10;
const NAME_WIDTH: usize = 26;

const BAR: RGBColor = RGBColor(0x3d, 0x8b, 0xd4);
const BACKGROUND: RGBAColor = RGBAColor(0x80, 0x80, 0x80, 0.18);
const GRID: RGBAColor = RGBAColor(0x80, 0x80, 0x80, 0.35);
/// The colour of text in a viewer that ignores the style of the page.
const TEXT_COLOR: RGBColor = RGBColor(0x70, 0x70, 0x70);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A bar: the text on its left, and the value, which is also the text on its right. A negative value has no length.
type Bar<'a> = (String, &'a Value);

/// A bar chart. `None` if no bar is longer than 0.
fn bars(bars: &[Bar<'_>]) -> Option<String> {
    let bars = &bars[..bars.len().min(MAX_BARS)];
    let longest = bars.iter().map(|(_, value)| value.to_f64()).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    let svg = draw(bars.len() as u32 * ROW_HEIGHT as u32, |area| {
        for (row, (name, value)) in (0..).zip(bars) {
            let (top, width) = (row * ROW_HEIGHT, WIDTH as i32);
            let name = truncate_str(name, NAME_WIDTH, "…").into_owned();
            area.draw(&Text::new(name, (0, top + 4), text_style(HPos::Left)))?;
            area.draw(&Text::new(grouped(value), (width, top + 4), text_style(HPos::Right)))?;
            let (upper, lower) = (top + 24, top + 24 + BAR_HEIGHT);
            let length = (f64::from(WIDTH) * value.to_f64().max(0.0) / longest) as i32;
            area.draw(&Rectangle::new([(0, upper), (width, lower)], BACKGROUND.filled()))?;
            area.draw(&Rectangle::new([(0, upper), (length, lower)], BAR.filled()))?;
        }
        Ok(())
    });
    Some(svg)
}

/// A line chart that starts at the origin. `None` if there is no data.
fn line(points: &[(f64, f64)]) -> Option<String> {
    let &(end, height) = points.last()?;
    if end <= 0.0 || height <= 0.0 {
        return None;
    }
    let svg = draw(LINE_HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .margin_right(16)
            .set_label_area_size(LabelAreaPosition::Left, 48)
            .set_label_area_size(LabelAreaPosition::Bottom, 32)
            .build_cartesian_2d(0.0..end, 0.0..height)?;
        let compact = |number: &f64| compact(*number);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(4)
            .y_labels(4)
            .x_label_formatter(&compact)
            .y_label_formatter(&compact)
            .label_style(("sans-serif", TEXT_SIZE).into_font().color(&TEXT_COLOR))
            .draw()?;
        let points = std::iter::once((0.0, 0.0)).chain(points.iter().copied());
        chart.draw_series(AreaSeries::new(points, 0.0, BAR.mix(0.2)).border_style(BAR.stroke_width(2)))?;
        Ok(())
    });
    Some(svg)
}

fn text_style(side: HPos) -> TextStyle<'static> {
    ("sans-serif", TEXT_SIZE).into_font().color(&TEXT_COLOR).pos(Pos::new(side, VPos::Top))
}

fn draw(height: u32, draw: impl FnOnce(&Area<'_>) -> DrawResult) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| area.present()).expect("drawing to memory cannot fail");
    }
    svg
}

/// A short label of an axis, such as 1.5M.
fn compact(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        large if large >= 1e9 => (number / 1e9, "G"),
        large if large >= 1e6 => (number / 1e6, "M"),
        large if large >= 1e3 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let text = format!("{scaled:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
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

    #[test]
    fn no_data_gives_no_chart() {
        assert_eq!(bars(&[]), None);
        assert_eq!(bars(&[("a".to_owned(), &Value::Count(0))]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[(10.0, 0.0)]), None);
    }

    #[test]
    fn axis_labels_are_short() {
        for (number, text) in [(0.0, "0"), (950.0, "950"), (1_500.0, "1.5k"), (2e6, "2M"), (1.25e10, "12.5G")] {
            assert_eq!(compact(number), text);
        }
    }
}
