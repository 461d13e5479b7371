//! Charts: their data, and their rendering as inline SVG from rectangles and text.
//!
//! A chart is sized for a phone screen. The page sets all colours, so they fit light and dark pages and paper.

use maud::{Markup, html};

use super::names::RowNames;
use super::table::Value;
use super::text::truncate;

/// The data of a chart.
#[derive(Debug)]
pub enum Chart {
    Bars {
        caption: &'static str,
        /// The names of the parts of a bar; empty if a bar is one part.
        legend: &'static [&'static str],
        bars: Vec<Bar>,
    },
    /// Columns from the start of the timeline to its end, with a panel for each figure.
    Columns {
        caption: &'static str,
        panels: Vec<(&'static str, Vec<u64>)>,
        /// The names of the first and the last column.
        ends: [String; 2],
    },
    /// A table whose cells have the colour of their number.
    Heat {
        caption: &'static str,
        columns: RowNames,
        /// The cells in the order of the columns; `None` if there are no such clicks.
        rows: Vec<(RowNames, Vec<Option<HeatCell>>)>,
    },
}

#[derive(Debug)]
pub struct Bar {
    pub name: String,
    pub value: Value,
    /// One or more bars below the name. Each is the lengths of its parts, as shares of the width.
    pub lanes: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, Copy)]
pub struct HeatCell {
    pub number: u64,
    /// The number as a share of the highest one.
    pub heat: f64,
    pub codes: u64,
}

/// Bars that are as long as their numbers. `None` if no number is above 0.
pub fn bars(caption: &'static str, rows: impl Iterator<Item = (String, Value, f64)>) -> Option<Chart> {
    let rows: Vec<_> = rows.collect();
    let longest = rows.iter().map(|(_, _, number)| *number).fold(0.0, f64::max);
    let bar =
        |(name, value, number): (String, Value, f64)| Bar { name, value, lanes: vec![vec![number.max(0.0) / longest]] };
    (longest > 0.0).then(|| Chart::Bars { caption, legend: &[], bars: rows.into_iter().map(bar).collect() })
}

/// Widths and heights in SVG units, which are pixels on a phone.
const WIDTH: f64 = 360.0;
/// The height of the text above a bar or a panel, and of the line below the columns.
const TEXT_HEIGHT: f64 = 21.0;
const BASELINE: f64 = 15.0;
/// The height of all bars of a name.
const BARS_HEIGHT: f64 = 18.0;
const GAP: f64 = 9.0;
/// The width of a digit, with its share of the space between groups.
const DIGIT_WIDTH: f64 = 9.5;
const PANEL_HEIGHT: f64 = 72.0;
/// The maximum width of a column.
const MAX_COLUMN: f64 = 24.0;

/// The maximum number of bars of a chart, and the maximum width of a name, in characters.
const MAX_BARS: usize = 40;
const NAME_WIDTH: usize = 30;

impl Chart {
    pub const fn caption(&self) -> &'static str {
        match self {
            Self::Bars { caption, .. } | Self::Columns { caption, .. } | Self::Heat { caption, .. } => caption,
        }
    }

    pub const fn legend(&self) -> &'static [&'static str] {
        match self {
            Self::Bars { legend, .. } => legend,
            Self::Columns { .. } | Self::Heat { .. } => &[],
        }
    }

    /// The bars of a text report: what they show, and the length of the bar of each row as a share of the width.
    pub fn text_bars(&self) -> Option<(&'static str, Vec<f64>)> {
        match self {
            Self::Bars { caption, legend: [], bars } => {
                Some((caption, bars.iter().map(|bar| bar.lanes[0].iter().sum()).collect()))
            }
            Self::Columns { panels, .. } => {
                let (name, numbers) = panels.first()?;
                let highest = numbers.iter().copied().max().unwrap_or(0).max(1);
                Some((name, numbers.iter().map(|&number| number as f64 / highest as f64).collect()))
            }
            Self::Bars { .. } | Self::Heat { .. } => None,
        }
    }

    /// The chart as SVG; `None` for a heat table.
    pub fn svg(&self) -> Option<Markup> {
        match self {
            Self::Bars { caption, bars, .. } => {
                let bars = bars.iter().filter(|bar| !matches!(bar.value, Value::Count(0))).take(MAX_BARS);
                Some(bar_chart(caption, &bars.collect::<Vec<_>>()))
            }
            Self::Columns { caption, panels, ends } => Some(column_chart(caption, panels, ends)),
            Self::Heat { .. } => None,
        }
    }
}

/// A drawing of this height. `label` is read to people who cannot see it.
fn svg(caption: &str, label: &str, height: f64, content: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (px(height)) } role="img" aria-label={ (caption) ": " (label) } {
            title { (caption) }
            (content)
        }
    }
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    html! { rect class=(class) x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) {} }
}

/// A text on the left and a value on the right of the line that begins at `y`. The text is cut off before the value.
fn line(y: f64, text: &str, value: &str, markup: &Markup) -> Markup {
    let space = WIDTH - (value.chars().count() + 1) as f64 * DIGIT_WIDTH;
    html! {
        svg x="0" y=(px(y)) width=(px(space.max(0.0))) height=(px(TEXT_HEIGHT)) { text x="0" y=(px(BASELINE)) { (text) } }
        text.end x=(px(WIDTH)) y=(px(y + BASELINE)) { (markup) }
    }
}

fn bar_chart(caption: &str, bars: &[&Bar]) -> Markup {
    let step = TEXT_HEIGHT + BARS_HEIGHT + GAP;
    let content = html! {
        @for (bar, y) in bars.iter().zip((0_u32..).map(|row| f64::from(row) * step)) {
            (line(y, &truncate(&bar.name, NAME_WIDTH), &bar.value.display(), &spaced(&bar.value)))
            @for (lane, parts) in bar.lanes.iter().enumerate() {
                @let height = BARS_HEIGHT / bar.lanes.len() as f64;
                @let top = y + TEXT_HEIGHT + height * lane as f64;
                (rect("track", 0.0, top, WIDTH, height - 1.0))
                (parts_of_bar(parts, top, height - 1.0))
            }
        }
    };
    let label: Vec<_> = bars.iter().map(|bar| format!("{} {}", bar.name, bar.value.display())).collect();
    svg(caption, &label.join(", "), bars.len() as f64 * step - GAP, &content)
}

/// The parts of a bar one after the other, each in its colour.
fn parts_of_bar(parts: &[f64], y: f64, height: f64) -> Markup {
    let mut end = 0.0;
    let placed = parts.iter().enumerate().map(|(index, part)| {
        let start = end;
        end += part;
        (format!("s{index}"), start * WIDTH, part * WIDTH)
    });
    html! {
        @for (class, x, width) in placed.filter(|(.., width)| *width > 0.0) { (rect(&class, x, y, width.max(0.7), height)) }
    }
}

fn column_chart(caption: &str, panels: &[(&str, Vec<u64>)], [first, last]: &[String; 2]) -> Markup {
    let step = TEXT_HEIGHT + PANEL_HEIGHT + GAP;
    let highest = |numbers: &[u64]| numbers.iter().copied().max().unwrap_or(0);
    let end = panels.len() as f64 * step - GAP;
    let content = html! {
        @for ((name, numbers), y) in panels.iter().zip((0_u32..).map(|row| f64::from(row) * step)) {
            @let highest = highest(numbers);
            @let (base, slot) = (y + TEXT_HEIGHT + PANEL_HEIGHT, WIDTH / numbers.len().max(1) as f64);
            @let value = Value::Count(highest);
            (line(y, name, &format!("highest {}", value.display()), &html! { "highest " (spaced(&value)) }))
            (rect("track", 0.0, base, WIDTH, 1.0))
            @for (column, &number) in numbers.iter().enumerate().filter(|(_, number)| **number > 0) {
                @let (height, width) = (number as f64 / highest as f64 * PANEL_HEIGHT, (slot * 0.85).min(MAX_COLUMN));
                (rect("s0", slot * column as f64, base - height.max(0.7), width, height.max(0.7)))
            }
        }
        (line(end, first, last, &html! { (last) }))
    };
    let label: Vec<_> = panels.iter().map(|(name, numbers)| format!("highest {} {name}", highest(numbers))).collect();
    svg(caption, &format!("{}; from {first} to {last}", label.join(", ")), end + TEXT_HEIGHT, &content)
}

/// A length with one digit after the point.
fn px(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A value for SVG. Groups of three digits are shifted apart, so no space is copied with a number.
fn spaced(value: &Value) -> Markup {
    let groups = value.digit_groups();
    html! {
        (groups[0])
        @for group in &groups[1..] { tspan dx="2" { (group) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_gives_no_chart() {
        let bars = |numbers: &[f64]| bars("", numbers.iter().map(|&number| (String::new(), Value::Nothing, number)));
        assert!(bars(&[]).is_none());
        assert!(bars(&[0.0, -1.0]).is_none());
        assert_eq!(bars(&[-1.0, 1.0, 2.0]).unwrap().text_bars(), Some(("", vec![0.0, 0.5, 1.0])));
    }

    #[test]
    fn parts_of_a_bar_follow_each_other() {
        let svg = parts_of_bar(&[0.25, 0.0, 0.5], 0.0, 10.0).into_string();
        assert!(svg.contains(r#"class="s0" x="0" y="0" width="90""#), "{svg}");
        assert!(svg.contains(r#"class="s2" x="90" y="0" width="180""#), "{svg}");
        assert!(!svg.contains("s1"), "{svg}");
    }
}
