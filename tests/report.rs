//! `adseg report`: its figures agree with those of a run, and its formats and files.

mod common;

use std::fs;
use std::path::Path;

use common::model::policy::{ModelPolicy, ModelRow};
use common::report::{REPORT, generated_campaign, json};
use common::{CommandOutput, RUN, Scratch, replay};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

#[test]
fn totals_equal_the_summary_of_a_run() {
    let scratch = generated_campaign();
    let summary = scratch.run(&format!("{RUN} -o codes.txt --summary=json")).stderr;
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let report = json(&scratch, "");
    let all = &report["totals"][0];
    for (figure, key) in [
        (&all["clicks"], "clicks"),
        (&all["baskets"], "baskets"),
        (&all["purchases"], "purchases"),
        (&all["codes"], "codes_to_send"),
        (&all["new_members"], "newly_enrolled"),
        (&report["membership"][0]["members"], "members"),
        (&report["records"][0]["records"], "records"),
        (&report["records"][0]["conversions"], "decisions"),
        (&report["records"][0]["loyalty_rows"], "loyalty_rows"),
        (&report["records"][0]["rejects"], "rejects"),
        (&report["records"][0]["blanks"], "blanks"),
    ] {
        assert_eq!(figure, &summary[key], "{key}");
    }
}

#[test]
fn parts_add_up_to_the_total() {
    let report = json(&generated_campaign(), "");
    let sum = |table: &str, figure: &str| {
        report[table].as_array().unwrap().iter().map(|row| row[figure].as_u64().unwrap()).sum::<u64>()
    };
    let all = &report["totals"][0];
    for table in ["promos", "channels", "promo_channels"] {
        assert_eq!(sum(table, "clicks"), all["clicks"], "{table}");
        assert_eq!(sum(table, "codes"), all["codes"], "{table}");
    }
    assert_eq!(sum("promos", "purchases"), all["purchases"]);
    assert_eq!(sum("promos", "new_members"), all["new_members"]);
    assert_eq!(sum("genders", "members"), report["membership"][0]["with_a_row"]);
    for figure in ["clicks", "codes", "purchases", "new_members"] {
        assert_eq!(sum("timeline", figure), all[figure], "{figure}");
    }
    let last = report["timeline"].as_array().unwrap().last().unwrap();
    assert_eq!(last["conversions_so_far"], report["records"][0]["conversions"]);
    assert_eq!(sum("inputs", "records"), report["records"][0]["records"]);
    for group in 0..3 {
        let (totals, funnel) = (&report["totals"][group], &report["funnel"][group]);
        for (step, otherwise, total) in [
            ("then_basket", "basket_otherwise", "customers_with_a_basket"),
            ("then_purchase", "bought_otherwise", "customers_who_bought"),
        ] {
            let sum = funnel[step].as_u64().unwrap() + funnel[otherwise].as_u64().unwrap();
            assert_eq!(sum, totals[total], "{total}");
        }
    }
}

#[test]
fn empty_campaign_has_a_report() {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "");
    scratch.write("conversions.txt", "");
    scratch.adseg(&format!("{REPORT} --html page.html")).assert().success().stdout(
        contains("\nThere are no conversions.\n").and(contains("\nMembers\n")).and(contains("\nPromos  ").not()),
    );
    let page = scratch.read("page.html");
    assert!(page.ends_with("</html>") && !page.contains("<svg") && !page.contains("NaN"), "{page}");
}

#[test]
fn report_and_page_are_written_together_or_not() {
    let scratch = Scratch::small_campaign();
    let outputs = format!("{REPORT} -o report.txt --html page.html");
    scratch.adseg(&outputs).assert().success().stdout(is_empty()).stderr(is_empty());
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt", "page.html", "report.txt"]);
    let before = (scratch.read("report.txt"), scratch.read("page.html"));
    scratch.write("conversions.txt", "nonsense\n");
    scratch.adseg(&outputs).assert().code(1).stderr(starts_with("adseg: conversions.txt:1: "));
    assert_eq!((scratch.read("report.txt"), scratch.read("page.html")), before);
    scratch.adseg(&format!("{outputs} --on-error skip")).assert().success().stderr(contains("1 bad record skipped"));
    let too_many = format!("{outputs} --on-error skip --max-rejects 0");
    scratch.adseg(&too_many).assert().code(1).stderr(contains("--max-rejects 0"));
}

#[test]
fn outputs_that_would_replace_something_are_rejected() {
    let scratch = Scratch::small_campaign();
    for (args, message) in [
        ("--html -", "cannot both be written to standard output"),
        ("-o loyalty.txt", "would overwrite loyalty.txt"),
        ("--html conversions.txt", "would overwrite conversions.txt"),
        ("-o both.txt --html both.txt", "named for two outputs"),
        ("--max-rejects 3", "needs --on-error skip"),
    ] {
        scratch.adseg(&format!("{REPORT} {args}")).assert().code(2).stdout(is_empty()).stderr(contains(message));
    }
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

/// `report` with these arguments and this date.
fn dated(scratch: &Scratch, args: &str, date: &str) -> CommandOutput {
    scratch.adseg(&format!("{REPORT} {args}")).env("SOURCE_DATE_EPOCH", date).output().unwrap().into()
}

#[test]
fn date_and_version_are_shown_unless_reproducible() {
    let scratch = Scratch::small_campaign();
    let shown = concat!("adseg ", env!("CARGO_PKG_VERSION"), ", made on 2026-03-02");
    let text = dated(&scratch, "--html page.html", "1772449200").stdout;
    assert_eq!(text.lines().nth(1), Some(shown));
    assert!(scratch.read("page.html").contains(shown));
    for args in ["--reproducible", "--format json", "--format csv"] {
        let at = |date: &str| dated(&scratch, args, date).stdout;
        assert_eq!(at("0"), at("1772449200"), "{args}");
        assert!(!at("0").contains("1970"), "{args}");
    }
    for (date, message) in [
        ("yesterday", "SOURCE_DATE_EPOCH is not a number of seconds"),
        ("999999999999999", "SOURCE_DATE_EPOCH is after the year 9999"),
    ] {
        let refused = dated(&scratch, "", date);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
}

#[test]
fn the_title_is_the_promos_or_the_option() {
    let scratch = Scratch::small_campaign();
    let title = |args: &str| scratch.run(&format!("{REPORT} {args}")).stdout.lines().next().unwrap().to_owned();
    assert_eq!(title(""), "Hoodie");
    assert_eq!(title("--title Spring"), "Spring");
    let click = |promo: char| format!("{promo}, ClickConversion, kim@example.com, Web\n");
    scratch.write("conversions.txt", "ABC".chars().map(click).collect::<String>());
    assert_eq!(title(""), "A, B, C");
    scratch.write("conversions.txt", "ABCD".chars().map(click).collect::<String>());
    assert_eq!(title(""), "Campaign report");
    let control = scratch.adseg(REPORT).args(["--title", "a\u{1b}[2J"]).output().unwrap().stdout;
    assert!(control.starts_with(b"a\\u{1b}[2J\n"), "{}", String::from_utf8_lossy(&control));
}

#[test]
fn inputs_have_their_records_and_times() {
    let scratch = Scratch::small_campaign();
    let rows = |times: &[&str]| {
        let row = |time: &&str| format!("P,click,kim@example.com,{time}\n");
        "promo,conversion,email,time\n".to_owned() + &times.iter().map(row).collect::<String>()
    };
    scratch.write("a.csv", rows(&["2026-03-01", "2026-03-02 10:00:00.5"]));
    scratch.write("empty.csv", "");
    scratch.write("b.csv", rows(&["2026-03-03", "2026-03-04"]) + "x\n");
    let report = "report --loyalty loyalty.txt --conversions a.csv empty.csv b.csv --time-column time --on-error skip \
                  --until 2026-03-04 --format json";
    let report: Value = serde_json::from_str(&scratch.run(report).stdout).unwrap();
    let input = |name: &str, source: &str, records: u64, first: Option<&str>, last: Option<&str>| {
        serde_json::json!({
            "input": name, "source": source, "records": records, "first_time": first, "last_time": last,
        })
    };
    let (first, last) = (Some("2026-03-01T00:00:00Z"), Some("2026-03-02T10:00:00Z"));
    let expected = serde_json::json!([
        input("loyalty.txt", "loyalty list", 1, None, None),
        input("a.csv", "conversions", 2, first, last),
        input("empty.csv", "conversions", 0, None, None),
        input("b.csv", "conversions", 3, Some("2026-03-03T00:00:00Z"), Some("2026-03-03T00:00:00Z")),
    ]);
    assert_eq!(report["inputs"], expected);
}

#[test]
fn text_fits_100_columns_and_has_bars_only_on_a_terminal() {
    let scratch = generated_campaign();
    let long = "n".repeat(120);
    let mut conversions = scratch.read("conversions.txt");
    conversions += &format!("{long}, ClickConversion, kim@example.com, {long}\n");
    conversions += &format!("{long}, PurchaseConversion, kim@example.com, [{long}], 123456789.25\n");
    scratch.write("conversions.txt", conversions);
    let text = scratch.run(&format!("{REPORT} --top 100")).stdout;
    let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(widest.chars().count() <= 100, "{widest}");
    assert!(!text.contains('█'), "{text}");
}

#[test]
fn every_chart_has_a_title_and_a_label() {
    let scratch = generated_campaign();
    scratch.adseg(&format!("{REPORT} --html page.html")).assert().success();
    let page = scratch.read("page.html");
    let charts: Vec<&str> =
        page.split("<svg viewBox").skip(1).map(|rest| rest.split("</title>").next().unwrap()).collect();
    assert_eq!(charts.len(), 7);
    for chart in charts {
        assert!(chart.contains("role=\"img\" aria-label=\"") && chart.contains("<title>"), "{chart}");
    }
}

#[test]
fn rows_after_the_first_ones_are_folded() {
    let scratch = generated_campaign();
    let page = |top: usize| {
        scratch.adseg(&format!("{REPORT} --html page.html --top {top}")).assert().success();
        scratch.read("page.html")
    };
    let report = json(&scratch, "");
    let items = report["items"].as_array().unwrap().len();
    assert!(page(10).contains(&format!("<summary>and {} more</summary>", items - 10)));
    assert!(!page(items).contains(" more</summary>"));
}

fn holdout_policy() -> ModelPolicy {
    let row = ModelRow { run: "old".into(), promo: "P".into(), email: "a@x".into(), is_sent: false, code: "".into() };
    ModelPolicy { ledger: Some(vec![row]), ..ModelPolicy::default() }
}

#[test]
fn docs_define_every_figure_as_the_page_does() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.md")).unwrap();
    let rows = replay::report_figures(&holdout_policy())
        .map(|[table, figure, about]| format!("| `{table}` | `{figure}` | {about} |"));
    let missing: Vec<_> = rows.filter(|row| !docs.contains(row)).collect();
    assert!(missing.is_empty(), "docs/report.md has no row:\n{}", missing.join("\n"));
}
