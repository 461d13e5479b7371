//! The pictures of a report, as SVG that stands inside a page.
//!
//! They are drawn as narrow as a phone, so that their text is never scaled down to where it cannot be read. Ink is left
//! to the page, whose style paints all text in its own colour; the colours here do on a light page and on a dark one. A
//! picture is never exact: its numbers stand in the table beside it.

use console::truncate_str;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Widths and heights in the units of the picture, which are pixels on a phone.
const WIDTH: u32 = 360;
const BAR_HEIGHT: i32 = 12;
const ROW_HEIGHT: i32 = 44;
const COURSE_HEIGHT: u32 = 220;
const TEXT_SIZE: u32 = 16;

/// How many bars a picture has at most, and how wide a name may be, in characters.
const MAX_BARS: usize = 10;
const NAME_WIDTH: usize = 26;

const BAR: RGBColor = RGBColor(0x3d, 0x8b, 0xd4);
const TROUGH: RGBAColor = RGBAColor(0x80, 0x80, 0x80, 0.18);
const GRID: RGBAColor = RGBAColor(0x80, 0x80, 0x80, 0.35);
/// The page paints text in its own ink; this is what a viewer without its style sees.
const INK: RGBColor = RGBColor(0x70, 0x70, 0x70);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it stands for.
    pub name: String,
    /// How long it is, in comparison with the others. Below 0 there is no length.
    pub length: f64,
    /// The number beside it.
    pub value: String,
}

/// Bars below each other, with name and number over each. `None` when there is nothing to draw.
pub fn bars(bars: &[Bar]) -> Option<String> {
    let bars = bars.get(..bars.len().min(MAX_BARS)).unwrap_or_default();
    let longest = bars.iter().map(|bar| bar.length).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    draw(bars.len() as u32 * ROW_HEIGHT as u32, |area| {
        for (row, bar) in (0..).zip(bars) {
            let (top, width) = (row * ROW_HEIGHT, WIDTH as i32);
            let name = truncate_str(&bar.name, NAME_WIDTH, "…").into_owned();
            area.draw(&Text::new(name, (0, top + 4), ink(HPos::Left)))?;
            area.draw(&Text::new(bar.value.clone(), (width, top + 4), ink(HPos::Right)))?;
            let (upper, lower) = (top + 24, top + 24 + BAR_HEIGHT);
            let length = (f64::from(WIDTH) * bar.length.max(0.0) / longest) as i32;
            area.draw(&Rectangle::new([(0, upper), (width, lower)], TROUGH.filled()))?;
            area.draw(&Rectangle::new([(0, upper), (length, lower)], BAR.filled()))?;
        }
        Ok(())
    })
}

/// A line through `points` over the ground beneath it. `None` when there is nothing to draw.
pub fn line(points: &[(f64, f64)]) -> Option<String> {
    let &(end, height) = points.last()?;
    if end <= 0.0 || height <= 0.0 {
        return None;
    }
    draw(COURSE_HEIGHT, |area| {
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
            .label_style(("sans-serif", TEXT_SIZE).into_font().color(&INK))
            .draw()?;
        let ground = std::iter::once((0.0, 0.0)).chain(points.iter().copied());
        chart.draw_series(AreaSeries::new(ground, 0.0, BAR.mix(0.2)).border_style(BAR.stroke_width(2)))?;
        Ok(())
    })
}

fn ink(side: HPos) -> TextStyle<'static> {
    ("sans-serif", TEXT_SIZE).into_font().color(&INK).pos(Pos::new(side, VPos::Top))
}

fn draw(height: u32, paint: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        paint(&area).ok()?;
        area.present().ok()?;
    }
    Some(svg)
}

/// A round number in a few characters: 1.5M.
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
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(bars(&[]), None);
        assert_eq!(bars(&[Bar { name: "a".to_owned(), length: 0.0, value: "0".to_owned() }]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[(10.0, 0.0)]), None);
    }

    #[test]
    fn names_are_no_markup_in_a_picture() {
        let bar = Bar { name: "</text><script>&\"".to_owned(), length: 1.0, value: "<b>".to_owned() };
        let svg = bars(&[bar]).unwrap();
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;&amp;"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn numbers_on_an_axis_are_short() {
        for (number, text) in [(0.0, "0"), (950.0, "950"), (1_500.0, "1.5k"), (2e6, "2M"), (1.25e10, "12.5G")] {
            assert_eq!(compact(number), text);
        }
    }
}
