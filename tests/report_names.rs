//! `adseg report`: names from the data are only text, and their number and length are limited.

mod common;

use common::Scratch;
use common::report::{REPORT, json};
use predicates::str::contains;
use serde_json::Value;

/// Names that a browser, a terminal or a spreadsheet interprets.
const HOSTILE: [&str; 8] = [
    "</td></table><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://evil.example\")",
    "+1",
    "@SUM(A1)",
    "\u{1b}]0;title\u{7}\u{1b}[2J",
    "\u{9b}31m\u{202e}backwards\u{2028}next",
    "&lt;b&gt;",
];

fn hostile_campaign() -> Scratch {
    let scratch = Scratch::new();
    let rows = HOSTILE.iter().enumerate().map(|(number, name)| format!("m{number}@example.com, , , {name}\n"));
    scratch.write("loyalty.txt", rows.collect::<String>());
    let purchase = |name: &&str| format!("{name}, PurchaseConversion, a@example.com, [6], 1\n").into_bytes();
    let click = |name: &&str| format!("{name}, ClickConversion, b@example.com, {name}\n").into_bytes();
    let mut lines = HOSTILE.iter().flat_map(|name| [click(name), purchase(name)]).collect::<Vec<_>>().concat();
    lines.extend(b"P, BasketConversion, a@example.com, [<i>;=1;-2;\xff\xfe;\xe2\x80\xae]\n");
    lines.extend(b"\xc3(, ClickConversion, b@example.com, \xed\xa0\x80\n");
    scratch.write("conversions.txt", lines);
    scratch
}

#[test]
fn names_cannot_control_the_terminal() {
    let scratch = hostile_campaign();
    for format in ["text", "json", "csv"] {
        let report = scratch.run(&format!("{REPORT} --format {format} --top 100")).stdout;
        let is_control = |char: char| (char.is_control() && char != '\n') || matches!(char, '\u{202e}' | '\u{2028}');
        assert!(!report.contains(is_control), "{report:?}");
    }
}

#[test]
fn names_are_never_formulas() {
    let report = hostile_campaign().run(&format!("{REPORT} --format csv")).stdout;
    let mut reader = csv::Reader::from_reader(report.as_bytes());
    let mut escaped = 0;
    for row in reader.records().map(Result::unwrap) {
        assert_eq!(row.len(), 5);
        for cell in row.iter().take(4) {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
            escaped += usize::from(cell.starts_with('\''));
        }
    }
    assert!(escaped > 0, "the formulas are missing");
}

#[test]
fn names_are_never_markup_and_the_page_is_self_contained() {
    let scratch = hostile_campaign();
    let mut report = scratch.adseg(&format!("{REPORT} --html page.html -o report.txt --top 100 --title"));
    report.arg("</title><script>alert(2)</script>").assert().success();
    let page = scratch.read("page.html");
    let tags: Vec<&str> = page.split('<').skip(1).map(|tag| tag.split(['>', ' ', '\n']).next().unwrap()).collect();
    let known_tags = "!DOCTYPE html head meta title style body header main h1 h2 h3 p dl dt dd div span b i em button \
        section details summary figure figcaption svg text tspan rect table thead tbody tr th td";
    let known_tags: Vec<&str> = known_tags.split_whitespace().collect();
    for tag in tags {
        assert!(known_tags.contains(&tag.trim_start_matches('/').trim_end_matches('/')), "<{tag}");
    }
    for external in ["src=\"", "href=\"", "url(", "@import", " onerror=\""] {
        assert!(!page.contains(external), "{external}");
    }
    assert!(page.contains("&lt;/td&gt;&lt;/table&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&amp;lt;b&amp;gt;"));
}

#[test]
fn too_many_names_are_omitted_for_any_number_of_partitions() {
    let scratch = Scratch::small_campaign();
    let click = |number: u32| format!("promo{number}, ClickConversion, customer{}@example.com, Web\n", number % 7);
    scratch.write("conversions.txt", (0..20_000).map(click).collect::<String>());
    let report = json(&scratch, "");
    assert_eq!((&report["promos"], &report["promo_channels"]), (&Value::Null, &Value::Null));
    assert_eq!(report["channels"][0]["clicks"], 20_000);
    assert_eq!(report["channels"][0]["customers"], 7);
    assert_eq!(report["totals"][0]["customers_who_clicked"], 7);
    for numbers in ["--partitions 1", "--partitions 1000 --threads 8"] {
        assert_eq!(json(&scratch, numbers), report, "{numbers}");
    }
    scratch.adseg(REPORT).assert().success().stdout(contains("more than 10000, so none is listed"));
}

#[test]
fn rows_that_replace_rows_may_have_too_many_genders() {
    let scratch = Scratch::small_campaign();
    let row = |number: u32| format!("customer{}@example.com, , , gender{number}\n", number % 7);
    scratch.write("loyalty.txt", (0..20_000).map(row).collect::<String>());
    for numbers in ["--partitions 1", ""] {
        let report = json(&scratch, numbers);
        assert_eq!(report["genders"], Value::Null);
        assert_eq!(report["membership"][0]["with_a_row"], 7, "{}", report["membership"]);
    }
}

#[test]
fn long_names_are_counted_together() {
    let scratch = Scratch::small_campaign();
    let click = |letter: &str| format!("{}, ClickConversion, kim@example.com, Web\n", letter.repeat(5_000));
    scratch.write("conversions.txt", ["x", "y", "z"].map(click).concat());
    let report = json(&scratch, "");
    assert_eq!(report["promos"][0]["promo"], Value::Null);
    assert_eq!((&report["promos"][0]["clicks"], &report["promos"][0]["customers"]), (&3.into(), &1.into()));
    scratch.adseg(REPORT).assert().success().stdout(contains("(longer than 200 bytes)"));
}
