//! One campaign in every format has the same decisions, from files and from standard input.

mod common;

use std::io::Write;

use common::{Scratch, assert_same, frame};

const MEMBERS: [[&str; 4]; 3] = [
    ["kim@example.com", "kim", "kim.insta", "F"],
    ["lee@example.com", "", "lee", "M"],
    ["f\u{e9}@example.com", "", "", ""],
];

/// The columns are promo, conversion, email, where, items and total_cost.
const CONVERSIONS: [[&str; 6]; 8] = [
    ["Hoodie", "ClickConversion", "kim@example.com", "Instagram", "", ""],
    ["Hoodie", "ClickConversion", "new@example.com", "Facebook", "", ""],
    ["Hoodie", "BasketConversion", "new@example.com", "", "[6;14]", ""],
    ["Hoodie", "PurchaseConversion", "new@example.com", "", "[6;14]", "18.64"],
    ["", "ClickConversion", "new@example.com", "", "", ""],
    ["Hoodie", "PurchaseConversion", "kim@example.com", "", "[6]", "-9.00"],
    ["Hoodie", "ClickConversion", "f\u{e9}@example.com", "Web", "", ""],
    ["Hoodie", "ClickConversion", "KIM@example.com", "Web", "", ""],
];

const DECISIONS: &str = "\
Send additional promo code to: kim@example.com, True
Send additional promo code to: new@example.com, False
Send additional promo code to: new@example.com, False
Send additional promo code to: new@example.com, False
Send additional promo code to: new@example.com, True
Send additional promo code to: kim@example.com, False
Send additional promo code to: f\u{e9}@example.com, True
Send additional promo code to: KIM@example.com, False
";

const LOYALTY_COLUMNS: [&str; 4] = ["email", "fb_user", "insta_user", "gender"];
const CONVERSION_COLUMNS: [&str; 6] = ["promo", "conversion", "email", "where", "items", "total_cost"];

/// The members and the conversions as bytes, and the options to read them.
struct Spelling {
    what: &'static str,
    options: &'static str,
    loyalty: Vec<u8>,
    conversions: Vec<u8>,
}

fn spelling(
    what: &'static str,
    options: &'static str,
    loyalty: impl Into<Vec<u8>>,
    conversions: impl Into<Vec<u8>>,
) -> Spelling {
    Spelling { what, options, loyalty: loyalty.into(), conversions: conversions.into() }
}

fn loyalty_lines() -> Vec<String> {
    MEMBERS.iter().map(|row| row.join(", ")).collect()
}

fn conversion_lines() -> Vec<String> {
    let line = |[promo, kind, email, channel, items, cost]: &[&str; 6]| match *kind {
        "ClickConversion" => [*promo, kind, email, channel].join(", "),
        "BasketConversion" => [*promo, kind, email, items].join(", "),
        _ => [*promo, kind, email, items, cost].join(", "),
    };
    CONVERSIONS.iter().map(line).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn framed(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(frame).collect()
}

/// How CSV is written.
#[derive(Clone, Copy)]
struct Csv {
    delimiter: char,
    quotes_all: bool,
    line_end: &'static str,
}

const PLAIN: Csv = Csv { delimiter: ',', quotes_all: false, line_end: "\n" };

impl Csv {
    /// A header row unless it is empty, and the rows, each after `change`.
    fn table<const N: usize>(self, header: &[&str], rows: &[[&str; N]], change: fn(&str) -> String) -> String {
        let field = |field: &str| {
            if self.quotes_all || field.contains([self.delimiter, '"']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.to_owned()
            }
        };
        let line = |fields: Vec<String>| {
            let fields: Vec<_> = fields.iter().map(|text| field(text)).collect();
            fields.join(&self.delimiter.to_string()) + self.line_end
        };
        let header = (!header.is_empty()).then(|| line(header.iter().map(|name| (*name).to_owned()).collect()));
        let rows = rows.iter().map(|row| line(row.iter().map(|text| change(text)).collect()));
        header.into_iter().chain(rows).collect()
    }

    fn campaign(self, what: &'static str, options: &'static str) -> Spelling {
        self.with_headers(what, options, &LOYALTY_COLUMNS, &CONVERSION_COLUMNS)
    }

    fn with_headers(
        self,
        what: &'static str,
        options: &'static str,
        loyalty: &[&str],
        conversions: &[&str],
    ) -> Spelling {
        let unchanged: fn(&str) -> String = str::to_owned;
        spelling(
            what,
            options,
            self.table(loyalty, &MEMBERS, unchanged),
            self.table(conversions, &CONVERSIONS, unchanged),
        )
    }
}

/// Objects without the empty fields. `wrap` writes the member of the email.
fn json_lines<const N: usize>(columns: &[&str; N], rows: &[[&str; N]], wrap: fn(&str) -> String) -> String {
    let member = |(name, field): (&&str, &&str)| match *name {
        "email" => wrap(field),
        "total_cost" => format!("\"{name}\":{field}"),
        "items" => format!("\"{name}\":[{}]", field.trim_matches(['[', ']']).replace(';', ",")),
        _ => format!("\"{name}\":\"{field}\""),
    };
    let object = |row: &[&str; N]| {
        let members = columns.iter().zip(row).filter(|(_, field)| !field.is_empty()).map(member);
        format!("{{{}}}\n", members.collect::<Vec<_>>().join(","))
    };
    rows.iter().map(object).collect()
}

fn flat(email: &str) -> String {
    format!("\"E-Mail\" : \"{email}\"")
}

fn nested(email: &str) -> String {
    let email: String = email.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"user\":{{\"id\":null,\"contact\":{{\"email\":\"{email}\"}}}}")
}

fn gzip(bytes: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &str) -> Vec<u8> {
    zstd::stream::encode_all(bytes.as_bytes(), 1).unwrap()
}

fn other_types(field: &str) -> String {
    let names = [("ClickConversion", "ad_click"), ("BasketConversion", "basket"), ("PurchaseConversion", "Purchase")];
    names.iter().find(|(of, _)| *of == field).map_or(field, |(_, name)| name).to_owned()
}

fn postgres_items(field: &str) -> String {
    if field.starts_with('[') { field.replace('[', "{").replace(']', "}").replace(';', ",") } else { field.to_owned() }
}

fn spellings() -> Vec<Spelling> {
    let (loyalty, conversions) = (loyalty_lines(), conversion_lines());
    let (list, log) = (text(&loyalty), text(&conversions));
    let csv = PLAIN.campaign("", "");
    let (csv_list, csv_log) = [csv.loyalty, csv.conversions].map(|bytes| String::from_utf8(bytes).unwrap()).into();
    let json_list = json_lines(&LOYALTY_COLUMNS, &MEMBERS, flat);
    let json_log = json_lines(&CONVERSION_COLUMNS, &CONVERSIONS, flat);
    let semicolons = Csv { delimiter: ';', ..PLAIN };
    let excel = Csv { line_end: "\r\n", ..semicolons }.campaign("", "");
    let marked = |bytes: &[u8]| [b"\xef\xbb\xbf", bytes].concat();
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let headerless = "--loyalty-columns email,fb_user,insta_user,gender \
                      --conversions-columns promo,conversion,email,where,items,total_cost";
    let columns = "--column email=customer_email --column conversion=event_type";
    let nested_email = "--column email=user.contact.email";
    vec![
        spelling("text", "", &*list, &*log),
        spelling("text, named", "--input-format text", &*list, &*log),
        spelling("text with CRLF and BOM", "", marked(crlf(&list).as_bytes()), marked(crlf(&log).as_bytes())),
        spelling("framed", "", framed(&loyalty), framed(&conversions)),
        PLAIN.campaign("commas", ""),
        semicolons.campaign("semicolons", ""),
        Csv { delimiter: '\t', ..PLAIN }.campaign("tabs", ""),
        Csv { delimiter: '|', ..PLAIN }.campaign("bars", ""),
        Csv { delimiter: '\t', ..PLAIN }.campaign("tabs, named", "--input-format csv --delimiter tab"),
        Csv { delimiter: '^', ..PLAIN }.campaign("another delimiter", "--delimiter ^"),
        Csv { quotes_all: true, ..PLAIN }.campaign("quotes everywhere", ""),
        spelling("Excel", "", marked(&excel.loyalty), marked(&excel.conversions)),
        spelling("carriage returns", "", csv_list.replace('\n', "\r"), csv_log.replace('\n', "\r")),
        PLAIN.with_headers(
            "names in other spellings",
            "",
            &["E-Mail", "FB User", "insta-user", "GENDER"],
            &["Promo", "CONVERSION", " email ", "Where", "items", "Total Cost"],
        ),
        PLAIN.with_headers(
            "other names",
            columns,
            &["customer_email", "fb_user", "insta_user", "gender"],
            &["promo", "Event Type", "CustomerEmail", "where", "items", "total_cost"],
        ),
        PLAIN.with_headers(
            "other names in each source",
            "--column loyalty.email=mail --column conversions.email=user",
            &["mail", "email", "insta_user", "gender"],
            &["mail", "conversion", "user", "email", "items", "total_cost"],
        ),
        PLAIN.with_headers("no header row", headerless, &[], &[]),
        Csv { delimiter: ';', quotes_all: true, ..PLAIN }.with_headers("no header row, quotes", headerless, &[], &[]),
        spelling(
            "other types",
            "--type click=ad_click",
            &*csv_list,
            PLAIN.table(&CONVERSION_COLUMNS, &CONVERSIONS, other_types),
        ),
        spelling("items of Postgres", "", &*csv_list, PLAIN.table(&CONVERSION_COLUMNS, &CONVERSIONS, postgres_items)),
        spelling("JSON Lines", "", &*json_list, &*json_log),
        spelling(
            "JSON Lines, nested",
            nested_email,
            json_lines(&LOYALTY_COLUMNS, &MEMBERS, nested),
            json_lines(&CONVERSION_COLUMNS, &CONVERSIONS, nested),
        ),
        spelling("JSON Lines with CRLF and BOM", "", marked(crlf(&json_list).as_bytes()), crlf(&json_log)),
        spelling("gzip", "", gzip(&list), gzip(&csv_log)),
        spelling("zstd", "", zstd(&json_list), zstd(&json_log)),
        spelling("a format for each source", "", &*csv_list, framed(&conversions)),
        spelling("emails only", "--loyalty-columns email", "kim@example.com\nf\u{e9}@example.com\n", &*json_log),
        spelling("a column email only", "", "email\nkim@example.com\nf\u{e9}@example.com\n", gzip(&log)),
    ]
}

#[test]
fn every_spelling_of_a_campaign_has_the_same_decisions() {
    for Spelling { what, options, loyalty, conversions } in spellings() {
        let scratch = Scratch::new();
        scratch.write("list", &loyalty);
        scratch.write("log", &conversions);
        for (inputs, stdin) in [
            ("--loyalty list --conversions log", &b""[..]),
            ("--loyalty list --conversions -", &conversions),
            ("--loyalty - --conversions log", &loyalty),
        ] {
            let output = scratch.run_with(&format!("run {inputs} {options}"), stdin);
            let context = format!("{what}: {options} {inputs}\n{}", output.stderr);
            assert_same(output.stdout, DECISIONS, &context);
            assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{context}");
        }
    }
}

#[test]
fn interleaved_stream_has_the_same_decisions_in_every_format() {
    let (loyalty, conversions) = (loyalty_lines(), conversion_lines());
    let lines = [loyalty, conversions].concat();
    let objects =
        |wrap| json_lines(&LOYALTY_COLUMNS, &MEMBERS, wrap) + &json_lines(&CONVERSION_COLUMNS, &CONVERSIONS, wrap);
    let nested_email = "--column email=user.contact.email";
    for (options, stream) in [
        ("", text(&lines).into_bytes()),
        ("", framed(&lines)),
        ("", objects(flat).into_bytes()),
        (nested_email, objects(nested).into_bytes()),
        ("", gzip(&objects(flat))),
        ("--input-format jsonl", zstd(&objects(flat))),
    ] {
        let output = Scratch::new().run_with(&format!("run --loyalty - --conversions - {options}"), stream);
        assert_same(output.stdout, DECISIONS, &format!("{options}: {}", output.stderr));
        assert_eq!((output.code, &*output.stderr), (Some(0), ""));
    }
}

#[test]
fn decisions_in_jsonl_and_csv_can_be_read_as_conversions() {
    let scratch = Scratch::new();
    scratch.write("list", text(&loyalty_lines()));
    scratch.write("log", text(&conversion_lines()));
    for format in ["jsonl", "csv"] {
        let args = format!("run --loyalty list --conversions log -o decisions --output-format {format}");
        scratch.adseg(&args).assert().success();
        let output = scratch.run("run --loyalty list --conversions decisions");
        assert_same(output.stdout, DECISIONS, &format!("{format}: {}", output.stderr));
    }
}
