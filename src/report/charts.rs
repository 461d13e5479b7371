//! The charts of the page, as inline SVG.
//!
//! They are sized for a phone screen, so their text is never scaled down. The page sets the colour of the text; the
//! other colours fit light and dark pages. The table beside a chart has the exact numbers.

use console::truncate_str;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

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

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// The text on its left.
    pub name: String,
    /// Its length, relative to the others. A negative one is drawn as 0.
    pub length: f64,
    /// The text on its right.
    pub value: String,
}

/// A bar chart. `None` if no bar is longer than 0.
pub fn bars(bars: &[Bar]) -> Option<String> {
    let bars = &bars[..bars.len().min(MAX_BARS)];
    let longest = bars.iter().map(|bar| bar.length).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    let svg = draw(bars.len() as u32 * ROW_HEIGHT as u32, |area| {
        for (row, bar) in (0..).zip(bars) {
            let (top, width) = (row * ROW_HEIGHT, WIDTH as i32);
            let name = truncate_str(&bar.name, NAME_WIDTH, "…").into_owned();
            area.draw(&Text::new(name, (0, top + 4), text_style(HPos::Left)))?;
            area.draw(&Text::new(bar.value.clone(), (width, top + 4), text_style(HPos::Right)))?;
            let (upper, lower) = (top + 24, top + 24 + BAR_HEIGHT);
            let length = (f64::from(WIDTH) * bar.length.max(0.0) / longest) as i32;
            area.draw(&Rectangle::new([(0, upper), (width, lower)], BACKGROUND.filled()))?;
            area.draw(&Rectangle::new([(0, upper), (length, lower)], BAR.filled()))?;
        }
        Ok(())
    });
    Some(svg)
}

/// A line chart that starts at the origin. `None` if there is no data.
pub fn line(points: &[(f64, f64)]) -> Option<String> {
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
    fn no_data_gives_no_chart() {
        assert_eq!(bars(&[]), None);
        assert_eq!(bars(&[Bar { name: "a".to_owned(), length: 0.0, value: "0".to_owned() }]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[(10.0, 0.0)]), None);
    }

    #[test]
    fn names_are_not_markup_in_a_chart() {
        let bar = Bar { name: "</text><script>&\"".to_owned(), length: 1.0, value: "<b>".to_owned() };
        let svg = bars(&[bar]).unwrap();
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;&amp;"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn axis_labels_are_short() {
        for (number, text) in [(0.0, "0"), (950.0, "950"), (1_500.0, "1.5k"), (2e6, "2M"), (1.25e10, "12.5G")] {
            assert_eq!(compact(number), text);
        }
    }
}
