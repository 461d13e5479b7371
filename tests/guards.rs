//! A guard stops a run that would read an input in the wrong format. What its message shows works.

mod common;

use common::{Scratch, assert_same};

const LIST: &str = "kim@example.com, kim, , F\n";
const LOG: &str = "Hoodie, ClickConversion, kim@example.com, Web\n";
const CONVERSIONS_COLUMNS: &str = "--conversions-columns promo,conversion,email,where,items,total_cost";

/// Runs that a guard stops: the options, the list and the conversions; a part of the message; and the options that it
/// shows, for these inputs.
const GUARDS: [[&str; 5]; 15] = [
    [
        "",
        "\"kim@example.com\",\"kim\",,\n",
        LOG,
        "add --loyalty-columns",
        "--loyalty-columns email,fb_user,insta_user,gender",
    ],
    ["", "kim@example.com;kim;;F\n", LOG, "add --loyalty-columns", "--loyalty-columns email,fb_user,insta_user,gender"],
    [
        "",
        "kim@example.com\tkim\t\tF\n",
        LOG,
        "add --loyalty-columns",
        "--loyalty-columns email,fb_user,insta_user,gender",
    ],
    ["", "kim@example.com\n", LOG, "add --loyalty-columns email", "--loyalty-columns email"],
    [
        "",
        "id,customer_email\n1,kim@example.com\n",
        LOG,
        "--column loyalty.email=customer_email;",
        "--column loyalty.email=customer_email",
    ],
    [
        "",
        "id;user_mail\n1;kim@example.com\n",
        LOG,
        "--column loyalty.email=user_mail;",
        "--column loyalty.email=user_mail",
    ],
    [
        "",
        LIST,
        "email,event_type\nkim@example.com,click\n",
        "--column conversion=event_type;",
        "--column conversion=event_type",
    ],
    [
        "",
        LIST,
        "promo|event|user_email\nP|click|kim@example.com\n",
        "--column conversions.email=user_email --column conversion=event;",
        "--column conversions.email=user_email --column conversion=event",
    ],
    ["", LIST, "\"P\",\"click\",\"kim@example.com\",,,\n", CONVERSIONS_COLUMNS, CONVERSIONS_COLUMNS],
    ["", LIST, "P;click;kim@example.com;;;\n", CONVERSIONS_COLUMNS, CONVERSIONS_COLUMNS],
    ["", "email,conversion\nkim@example.com,ad\n", LOG, "add --loyalty-format csv", "--loyalty-format csv"],
    [
        "--column email=mail",
        LIST,
        "conversion,mail\nclick,kim@example.com\n",
        "conversions.FIELD=NAME",
        "--column conversions.email=mail",
    ],
    [
        "--column email=mail",
        "mail\nkim@example.com\n",
        LOG,
        "--column loyalty.FIELD=NAME",
        "--column loyalty.email=mail",
    ],
    ["", LIST, "conversion,email\nad_click,kim@example.com\n", "--type click=\"ad_click\"", "--type click=ad_click"],
    ["", LIST, "conversion,email\nview,\nclick,kim@example.com\n", "--type ignore=\"view\"", "--type ignore=view"],
];

#[test]
fn options_in_the_message_of_a_guard_work() {
    for [options, list, log, message, remedy] in GUARDS {
        let scratch = Scratch::new();
        scratch.write("list", list);
        scratch.write("log", log);
        let run = |options: &str| scratch.run(&format!("run --loyalty list --conversions log {options}"));
        let stopped = run(options);
        assert_eq!((stopped.code, &*stopped.stdout), (Some(1), ""), "{list}{log}");
        assert!(stopped.stderr.contains(message), "{message}: {}", stopped.stderr);
        let output = run(remedy);
        assert_same(output.stdout, "Send additional promo code to: kim@example.com, True\n", &output.stderr);
    }
}

/// Commands that a message shows for a type of file that is not read. Those that are not installed are skipped.
#[test]
fn commands_in_the_message_of_a_guard_work() {
    for (make, convert, message) in [
        ("xz -c", "xz -dc", "an xz file"),
        ("bzip2 -c", "bzip2 -dc", "a bzip2 file"),
        ("lz4 -c", "lz4 -dc", "an lz4 file"),
        ("iconv -f UTF-8 -t UTF-16", "iconv -f UTF-16 -t UTF-8", "UTF-16 text"),
        ("jq -cs .", "jq -c '.[]'", "a JSON array"),
    ] {
        let scratch = Scratch::new();
        scratch.write("list", LIST);
        scratch.write("log", "{\"email\":\"kim@example.com\",\"conversion\":\"click\"}\n");
        let made = scratch.sh(&format!("{make} <log >other")).output().unwrap();
        if !made.status.success() {
            eprintln!("skipped: {make} is not installed");
            continue;
        }
        let stopped = scratch.run("run --loyalty list --conversions other");
        assert_eq!((stopped.code, &*stopped.stdout), (Some(1), ""), "{make}");
        assert!(stopped.stderr.contains(message) && stopped.stderr.contains(convert), "{}", stopped.stderr);
        let script = format!("{convert} <other | adseg run --loyalty list --conversions -");
        let output = scratch.sh(&script).output().unwrap();
        assert_same(output.stdout, "Send additional promo code to: kim@example.com, True\n", &script);
    }
}
