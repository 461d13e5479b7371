//! The campaign file: it has the effect of the options, and `check --print-campaign` prints it.

mod common;

use std::io::Write;

use common::{CommandOutput, Scratch};

/// A campaign as the arguments that name its files, the options for them, and the files.
struct Campaign {
    files: &'static str,
    options: &'static [&'static str],
    content: &'static [(&'static str, &'static str)],
}

const EVENTS: &str = "promo,conversion,email,where,items,total_cost\nP,click,kim@example.com,Web,,\n\
    P,purchase,new@example.com,,[6],1.50\nP,click,new@example.com,Web,,\n";

/// Names, delimiters and types that need care in TOML.
const CAMPAIGNS: [Campaign; 6] = [
    Campaign {
        files: "--loyalty list --conversions events",
        options: &[
            "--column",
            "loyalty.email=Mail \"of\" = 'x' \\ [1]",
            "--column",
            "gender=G\u{e4}#\u{200b}\u{e0041}",
        ],
        content: &[
            ("list", "\"Mail \"\"of\"\" = 'x' \\ [1]\";\"G\u{e4}#\u{200b}\u{e0041}\";other\nkim@example.com;F;1\n"),
            ("events", EVENTS),
        ],
    },
    Campaign {
        files: "--loyalty list --conversions events",
        options: &[
            "--loyalty-columns=-,gender,email",
            "--conversions-columns=time,email,-,conversion,items,total_cost",
            "--type=click=klick \"1\"\\",
            "--type=click=o'click",
            "--type=ignore=*",
            "--type=ignore=basket",
        ],
        content: &[
            ("list", "7|F|kim@example.com\n"),
            (
                "events",
                "1700000000\tkim@example.com\t\t\"klick \"\"1\"\"\\\"\t\t\n1700000001\tnew@example.com\t\tpurchase\t6;7\t2\n\
                 1700000002\tnew@example.com\t\to'click\t\t\n1700000002\tnew@example.com\t\tview\t\t\n\
                 1700000002\tnew@example.com\t\tbasket\t6\t\n",
            ),
        ],
    },
    Campaign {
        files: "--loyalty list --conversions events more",
        options: &[
            "--column=email=user.e-mail",
            "--column=conversion=event.\u{202e}type",
            "--type=purchase=BUY",
            "--time-column=event.at",
        ],
        content: &[
            ("list", "{\"user\":{\"e_mail\":\"kim@example.com\"}}\n"),
            (
                "events",
                "{\"user\":{\"EMail\":\"new@example.com\"},\"event\":{\"\u{202e}type\":\"BUY\",\"at\":5},\"items\":[1],\
                 \"total_cost\":2}\n",
            ),
            (
                "more",
                "{\"user\":{\"email\":\"new@example.com\"},\"event\":{\"\u{202e}type\":\"click\",\"at\":\
                 \"2024-01-01\"}}\n",
            ),
        ],
    },
    Campaign {
        files: "--loyalty list empty --conversions events more empty2",
        options: &[],
        content: &[
            ("list", "kim@example.com, , , F\n"),
            ("empty", ""),
            ("empty2", ""),
            ("events", EVENTS),
            ("more", "e-mail\tConversion\nkim@example.com\tclick\n"),
        ],
    },
    Campaign {
        files: "--loyalty list --conversions events",
        options: &["--loyalty-format=text", "--delimiter=:", "--column=conversion=a b"],
        content: &[
            ("list", "email;x, , , \nkim@example.com, , ,\n"),
            ("events", "email:A-B:Promo\nkim@example.com:click:P\n"),
        ],
    },
    Campaign {
        files: "--loyalty list --conversions events",
        options: &["--input-format=framed"],
        content: &[("list", "\0\0\0\u{8}a@x, , ,"), ("events", "\0\0\0\u{17}P,ClickConversion,a@x,w")],
    },
];

impl Campaign {
    fn scratch(&self) -> Scratch {
        let scratch = Scratch::new();
        self.content.iter().for_each(|(name, content)| drop(scratch.write(name, content)));
        scratch
    }

    fn run(&self, scratch: &Scratch, command: &str, more: &[&str]) -> CommandOutput {
        scratch.adseg(&format!("{command} {}", self.files)).args(more).output().unwrap().into()
    }
}

#[test]
fn printed_campaign_file_replaces_the_options() {
    for campaign in CAMPAIGNS {
        let scratch = campaign.scratch();
        let print = [campaign.options, &["--print-campaign", "-o", "campaign.toml"]].concat();
        let printed = campaign.run(&scratch, "check", &print);
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{:?}", campaign.options);
        let toml = scratch.read("campaign.toml");
        for command in ["run --output-format jsonl", "check", "report", "explain new@example.com", "order-check"] {
            let with_options = campaign.run(&scratch, command, campaign.options);
            let with_file = campaign.run(&scratch, command, &["--campaign", "campaign.toml"]);
            assert_eq!(with_options, with_file, "{command}: {toml}");
            assert!(with_file.code == Some(0) || command == "order-check", "{with_file:?}");
        }
        let again = campaign.run(&scratch, "check", &["--campaign", "campaign.toml", "--print-campaign"]);
        assert_eq!(again.stdout, toml);
    }
}

#[test]
fn printed_campaign_file_keeps_the_rules_of_the_policy() {
    let scratch = Scratch::small_campaign();
    let args = "--loyalty loyalty.txt --conversions conversions.txt --campaign";
    let inputs = "[loyalty]\n# detected: text\n\n[conversions]\n# detected: text\n";
    for (rules, keys, tables) in [
        ("", "", ""),
        ("promos = ['P', 'a\"b\\', \"\\u202e\\t.\"]\n", "promos = [\"P\", \"a\\\"b\\\\\", \"\\u202e\\t.\"]\n\n", ""),
        ("once = 'promo'\n", "once = \"promo\"\n\n", ""),
        (
            "promos = ['P']\nonce = 'customer'\n[codes]\nwhen_exhausted = 'withhold'\n",
            "promos = [\"P\"]\nonce = \"customer\"\n\n",
            "\n[codes]\nwhen_exhausted = \"withhold\"\n",
        ),
        ("once = 'never'\n[match]\nignore_case = true\n", "once = \"never\"\n\n", "\n[match]\nignore_case = true\n"),
        (
            "[holdout]\nkey = ' a\\b '\npercent = '50.00'\n",
            "",
            "\n[holdout]\npercent = \"50.00\"\nkey = \" a\\\\b \"\n",
        ),
        ("[codes]\nwhen_exhausted = 'fail'\n[match]\nignore_case = false\n", "", ""),
    ] {
        scratch.write("rules.toml", rules);
        let printed = scratch.run(&format!("check {args} rules.toml --print-campaign"));
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{rules}");
        assert_eq!(printed.stdout, format!("{keys}{inputs}{tables}"), "{rules}");
        scratch.write("printed.toml", &printed.stdout);
        assert_eq!(scratch.run(&format!("check {args} printed.toml --print-campaign")).stdout, printed.stdout);
    }
}

#[test]
fn print_campaign_reads_only_the_start_of_an_input() {
    let scratch = Scratch::small_campaign();
    let mut check = scratch.piped("check --loyalty loyalty.txt --conversions - --print-campaign").spawn().unwrap();
    let mut open_stdin = check.stdin.take().unwrap();
    open_stdin.write_all(b"email,conversion\n").unwrap();
    let output: CommandOutput = check.wait_with_output().unwrap().into();
    drop(open_stdin);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (
            Some(0),
            "[loyalty]\n# detected: text\n\n[conversions]\nformat = \"csv\"\ndelimiter = \",\"\n\
             columns = { email = \"email\", conversion = \"conversion\" }\n"
        )
    );
}

#[test]
fn interleaved_stream_uses_both_tables() {
    let scratch = Scratch::new();
    let stream =
        "{\"mail\":\"a@x\",\"conversion\":\"click\"}\n{\"mail\":\"a@x\"}\n{\"mail\":\"a@x\",\"conversion\":\"AD\"}\n";
    let decisions = "Send additional promo code to: a@x, False\nSend additional promo code to: a@x, True\n";
    let args = "--loyalty - --conversions -";
    let options = "--column email=mail --type click=AD";
    let toml = scratch.run_with(&format!("check {args} {options} --print-campaign"), stream).stdout;
    scratch.write("campaign.toml", toml);
    let output = scratch.run_with(&format!("run {args} --campaign campaign.toml"), stream);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (decisions, ""));

    scratch.write("campaign.toml", "[loyalty]\nformat = \"text\"\n[conversions]\nformat = \"jsonl\"\n");
    let output = scratch.run_with(&format!("run {args} --campaign campaign.toml"), stream);
    assert!(output.code == Some(2) && output.stderr.contains("only one format; use --input-format"), "{output:?}");
    let output =
        scratch.run_with(&format!("run {args} {options} --input-format jsonl --campaign campaign.toml"), stream);
    assert_eq!(output.stdout, decisions);
}

#[test]
fn every_option_takes_precedence_over_the_file() {
    let scratch = Scratch::new();
    scratch.write("list", "x|mail\n1|kim@example.com\n");
    scratch.write("events", "conversion|mail|at|then\nad|kim@example.com|9|1\nad|kim@example.com|8|2\n");
    scratch.write(
        "campaign.toml",
        "loyalty = { format = \"jsonl\", delimiter = ';', columns = { email = 'x' } }\n\
         [conversions]\nformat = 'text'\ndelimiter = ';'\ncolumns = { email = 'none' }\ntime = 'at'\n\
         types = { purchase = ['ad'] }\n",
    );
    let options = "--input-format csv --delimiter | --column email=mail --type click=ad --time-column then";
    let args = format!("run --loyalty list --conversions events --campaign campaign.toml {options}");
    let output = scratch.run(&args);
    let decision = "Send additional promo code to: kim@example.com, True\n";
    assert_eq!((output.stdout, output.stderr.as_str()), (decision.repeat(2), ""));

    scratch.write("list", "1|kim@example.com\n");
    scratch.write("events", "5|kim@example.com|ad\n");
    let options = "--input-format csv --delimiter | --type click=ad --loyalty-columns -,email";
    let args = format!("run --loyalty list --conversions events --campaign campaign.toml {options}");
    assert_eq!(scratch.run(&format!("{args} --conversions-columns time,email,conversion")).stdout, decision);
    // The file names a column with the time, so it must not be lost.
    let output = scratch.run(&format!("{args} --conversions-columns -,email,conversion"));
    assert!(output.code == Some(2) && output.stderr.contains("the field is called time"), "{output:?}");
}

#[test]
fn invalid_values_are_errors_with_their_line() {
    let scratch = Scratch::small_campaign();
    for (toml, message) in [
        (
            "[loyalty]\nformat = 'xlsx'",
            "2: loyalty.format: unknown format \"xlsx\" (expected one of auto, text, framed, csv, jsonl)",
        ),
        ("[loyalty]\ndelimiter = ',,'", "2: loyalty.delimiter: expected one ASCII character or tab"),
        ("[loyalty]\ncolumns = 'email'", "2: loyalty.columns: expected a table, found a string"),
        (
            "[loyalty]\ncolumns = {emial = 'm'}",
            "2: loyalty.columns.emial: unknown field \"emial\"; did you mean email?",
        ),
        (
            "[loyalty]\ncolumns = {promo = 'm'}",
            "2: loyalty.columns.promo: unknown field \"promo\"; the fields are email, fb_user",
        ),
        ("[loyalty]\ncolumns = {email = ' '}", "2: loyalty.columns.email: the name is empty"),
        ("[loyalty]\ncolumns = {e-mail = 'a', email = 'b'}", "2: loyalty.columns.email: the field email has two names"),
        ("[loyalty]\ncolumns = ['email',\n'email']", "3: loyalty.columns: the field email occurs twice"),
        ("[loyalty]\ncolumns = ['email', 'time']", "2: loyalty.columns: unknown field \"time\""),
        ("[loyalty]\ntime = 'at'", "2: unknown key \"time\" in [loyalty]; the keys are format, delimiter, columns"),
        ("[conversions]\ncolumns = {time = 'at'}", "2: conversions.columns.time: the key time of [conversions] names"),
        ("[conversions]\npromo = ' '", "2: conversions.promo: the promo is empty"),
        ("[conversions]\npromo = \"a\\nb\"", "2: conversions.promo: the promo contains a control character"),
        ("[conversions]\ntime = 3", "2: conversions.time: expected a string, found an integer"),
        ("[conversions.types]\nclik = ['a']", "2: unknown key \"clik\" in [conversions.types]; did you mean click?"),
        ("[conversions.types]\nclick = ['*']", "2: conversions.types.click: the name * is valid only in ignore=*"),
        ("\n[holdouts]", "2: unknown key \"holdouts\"; did you mean holdout?"),
        ("\n[segments]", "2: unknown key \"segments\"; the keys are loyalty, conversions, promos, once"),
        ("\npromos = []", "2: promos: the list is empty; without this key, all promos get codes"),
        ("promos = ['P',\n' ']", "2: promos: a promo is empty"),
        ("once = 'always'", "1: once: unknown value \"always\" (expected promo, customer or never)"),
        ("[match]\nignore_case = 'yes'", "2: match.ignore_case: expected true or false, found a string"),
        (
            "[codes]\nonce = 'promo'",
            "2: unknown key \"once\" in [codes]; it belongs before the first table of the file",
        ),
        ("\n[holdout]\npercent = '10'", "2: holdout.key: this key is missing"),
        (
            "[holdout]\nkey = 'k'\npercent = '100'",
            "3: holdout.percent: expected a percentage above 0 and below 100, with at most 12 decimals, found \"100\"",
        ),
        ("[codes]\nwhen_exhausted = 'stop'", "2: codes.when_exhausted: unknown value \"stop\""),
        ("a = \"\u{1b}[31m", "1: invalid TOML: "),
        ("\"\\u001b[31m\" = 1", "1: unknown key \"\\u{1b}[31m\"; the keys are loyalty, conversions"),
    ] {
        scratch.write("campaign.toml", toml);
        for command in ["run", "check", "report", "order-check", "explain kim@example.com"] {
            let args =
                format!("{command} --loyalty loyalty.txt --conversions conversions.txt --campaign campaign.toml");
            let output = scratch.run(&args);
            assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{toml}");
            assert!(output.stderr.starts_with(&format!("adseg: campaign.toml:{message}")), "{toml}: {}", output.stderr);
        }
    }
    scratch.write("campaign.toml", b"[loyalty]\n# caf\xe9\n");
    let args = "run --loyalty loyalty.txt --conversions conversions.txt --campaign campaign.toml";
    assert_eq!(scratch.run(args).stderr, "adseg: campaign.toml:2: the text is not UTF-8\n");
    scratch.write("campaign.toml", b"\xef\xbb\xbf[loyalty]\r\n");
    assert_eq!(scratch.run(args).code, Some(0));
}
