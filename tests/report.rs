//! `adseg report`: its figures agree with those of a run, and names from the data are only text.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::model::policy::{ModelPolicy, ModelRow};
use common::{CommandOutput, RUN, Scratch, replay};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

const REPORT: &str = "report --loyalty loyalty.txt --conversions conversions.txt";

fn json(scratch: &Scratch, numbers: &str) -> Value {
    let CommandOutput { code, stdout, stderr } = scratch.run(&format!("{REPORT} --format json {numbers}"));
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn generated_campaign() -> Scratch {
    let scratch = Scratch::new();
    let generate = "generate --loyalty loyalty.txt --conversions conversions.txt --members 300 --events 9000";
    scratch.adseg(generate).assert().success();
    scratch
}

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

/// A campaign with a policy, and the options of its third night, whose first two nights are in the ledger.
fn policy_campaign() -> (Scratch, &'static str) {
    let scratch = Scratch::new();
    let generate = "generate --loyalty loyalty.txt --conversions conversions.txt --members 300 --events 9000 \
                    --suppress unsubscribed.txt";
    scratch.adseg(generate).assert().success();
    let conversions = scratch.read("conversions.txt");
    let nights: Vec<_> = conversions.split_inclusive('\n').collect();
    for (night, lines) in nights.chunks(3_000).enumerate() {
        scratch.write(&format!("{night}.txt"), lines.concat());
    }
    scratch.write("campaign.toml", "[holdout]\npercent = \"30\"\nkey = \"k\"\n");
    for night in 0..2 {
        let run = "run --loyalty loyalty.txt --campaign campaign.toml --ledger ledger.csv -o out.txt --quiet";
        scratch.adseg(&format!("{run} --conversions {night}.txt --run-id {night}")).assert().success();
    }
    let options = "--loyalty loyalty.txt --conversions 2.txt --campaign campaign.toml --suppress unsubscribed.txt \
                   --ledger ledger.csv --run-id 2";
    (scratch, options)
}

#[test]
fn reasons_equal_the_summary_of_a_run() {
    let (scratch, options) = policy_campaign();
    let report = scratch.run(&format!("report {options} --format json")).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let summary = scratch.run(&format!("run {options} -o codes.txt --summary=json")).stderr;
    let summary: Value = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    let reasons = &summary["policy"]["reasons"];
    for row in report["reasons"].as_array().unwrap() {
        assert_eq!(row["decisions"], reasons[row["reason"].as_str().unwrap()], "{row}");
    }
    let count = |reason: &str| reasons[reason].as_u64().unwrap();
    for reason in ["member-click", "suppressed", "already-sent", "held-out"] {
        assert!(count(reason) > 0, "{reason}: {reasons}");
    }
    assert_eq!(report["totals"][0]["codes"], count("member-click"));
    let ledger = scratch.read("ledger.csv");
    let has = |outcome: &str| ledger.lines().filter(|row| row.contains(outcome) && !row.starts_with("2,")).count();
    assert!(has(",held-out,") > 0 && has(",sent,") > 0);
    let clicks = |row: &Value| row.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let of_promos: u64 = report["promo_reasons"].as_array().unwrap().iter().map(clicks).sum();
    assert_eq!(of_promos, report["totals"][0]["clicks"]);
}

#[test]
fn groups_of_the_lift_are_those_of_the_first_rows() {
    let (scratch, options) = policy_campaign();
    let report: Value = serde_json::from_str(&scratch.run(&format!("report {options} --format json")).stdout).unwrap();
    let mut first = BTreeMap::new();
    for row in scratch.read("ledger.csv").lines().skip(1) {
        let [_, _, email, outcome, _] = row.split(',').collect::<Vec<_>>().try_into().unwrap();
        first.entry(email.to_ascii_lowercase()).or_insert(outcome.to_owned());
    }
    for (group, outcome) in [(0, "sent"), (1, "held-out")] {
        let customers: BTreeSet<_> = first.iter().filter(|(_, of)| *of == outcome).map(|(email, _)| email).collect();
        let log = scratch.read("2.txt");
        let purchases = log.lines().filter(|line| line.contains("PurchaseConversion"));
        let emails = purchases.map(|line| line.split(',').nth(2).unwrap().trim().to_ascii_lowercase());
        let buyers: BTreeSet<_> = emails.filter(|email| customers.contains(email)).collect();
        let row = &report["lift"][group];
        assert_eq!((&row["customers"], &row["customers_who_bought"]), (&customers.len().into(), &buyers.len().into()));
    }
}

#[test]
fn report_without_rows_of_other_runs_has_no_lift() {
    let (scratch, options) = policy_campaign();
    let ledger: Vec<String> = scratch.read("ledger.csv").lines().map(str::to_owned).collect();
    let own = |row: &String| row.starts_with("run,") || row.starts_with("0,");
    scratch.write("ledger.csv", ledger.iter().filter(|row| own(row)).map(|row| format!("{row}\n")).collect::<String>());
    let lift = |run_id: &str| {
        let options = options.replace("--run-id 2", run_id);
        let report = scratch.run(&format!("report {options} --format json")).stdout;
        serde_json::from_str::<Value>(&report).unwrap()["lift"].is_array()
    };
    assert_eq!([lift("--run-id 0"), lift("--run-id 1"), lift("")], [false, true, true]);
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
fn empty_campaign_has_a_report() {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "");
    scratch.write("conversions.txt", "");
    scratch
        .adseg(&format!("{REPORT} --html page.html"))
        .assert()
        .success()
        .stdout(contains("\nThere are no conversions.\n").and(contains("\nPromos  ")).and(contains("  none\n")));
    let page = scratch.read("page.html");
    assert!(page.ends_with("</html>") && !page.contains("<svg") && !page.contains("NaN"), "{page}");
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
    let shown = concat!("adseg ", env!("CARGO_PKG_VERSION"), ", 2026-03-02");
    let text = dated(&scratch, "--html page.html", "1772449200").stdout;
    assert_eq!(text.lines().nth(1), Some(shown));
    assert!(scratch.read("page.html").contains(shown));
    for args in ["--reproducible", "--format json", "--format csv"] {
        let at = |date: &str| dated(&scratch, args, date).stdout;
        assert_eq!(at("0"), at("1772449200"), "{args}");
        assert!(!at("0").contains("1970"), "{args}");
    }
    let refused = dated(&scratch, "", "yesterday");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("SOURCE_DATE_EPOCH is not a number of seconds"), "{}", refused.stderr);
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
