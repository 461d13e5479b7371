//! Random campaigns with a policy: two campaign files, a suppression list and a ledger. Their decisions are those of
//! `adseg run`, with which the tests compare what other commands report.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Value;

use super::{CommandOutput, Scratch};

const SOURCES: &str = "--loyalty loyalty.txt --conversions conversions.txt";

const LEDGER_HEADER: &str = "run,promo,email,outcome,code\n";

/// The rules of one campaign file.
#[derive(Debug, Clone)]
pub struct Rules {
    pub promos: Option<Vec<&'static str>>,
    pub once: Option<&'static str>,
    pub ignore_case: bool,
    pub holdout: bool,
}

#[derive(Debug, Clone)]
pub struct PolicyCampaign {
    list: Vec<&'static str>,
    conversions: Vec<(&'static str, &'static str, &'static str)>,
    /// The rules of `old.toml` and `new.toml`.
    pub rules: [Rules; 2],
    suppressed: Option<Vec<&'static str>>,
    ledger: Option<Vec<(&'static str, &'static str, &'static str, &'static str)>>,
    run_id: Option<&'static str>,
    /// Whether the option `--ignore-case` is given.
    pub ignore_case: bool,
    numbers: (u32, u32),
}

/// A decision of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedClick {
    /// Its line in the conversions.
    pub line: usize,
    pub email: String,
    pub promo: String,
    pub reason: String,
    pub send: bool,
}

impl DecidedClick {
    /// The reason for a decision that a run without a policy does not write.
    pub fn reason_without_policy(conversion: &str, send: bool) -> &'static str {
        match (conversion, send) {
            ("ClickConversion", true) => "member-click",
            ("ClickConversion", false) => "not-a-member",
            ("BasketConversion", false) => "basket",
            ("PurchaseConversion", false) => "purchase",
            other => panic!("no reason for {other:?}"),
        }
    }
}

impl PolicyCampaign {
    pub const EMAILS: [&str; 7] = ["kim@x", "Kim@X", "KIM@x", "l.ee@gmail.com", "Lee+1@gmail.com", "bo@y", "new@z"];
    const PROMOS: [&str; 2] = ["P", "q, \u{e9}"];

    /// Whether the decisions of one spelling may depend on the records of another one, under a policy.
    pub fn joins_spellings(&self, rules: &Rules) -> bool {
        let once = rules.once.unwrap_or(if self.ledger.is_some() { "promo" } else { "never" });
        rules.ignore_case || self.ignore_case || self.ledger.is_some() || once != "never"
    }

    /// A folder with the files of the campaign.
    pub fn scratch(&self) -> Scratch {
        let scratch = Scratch::new();
        scratch.write("loyalty.txt", self.list.iter().map(|email| format!("{email}, , , \n")).collect::<String>());
        let header = "promo,conversion,email,where,items,total_cost\n".to_owned();
        let row = |(promo, kind, email): &(&str, &str, &str)| match *kind {
            "ClickConversion" => format!("\"{promo}\",{kind},{email},w,,\n"),
            _ => format!("\"{promo}\",{kind},{email},,[1],2.50\n"),
        };
        scratch.write("conversions.txt", header + &self.conversions.iter().map(row).collect::<String>());
        for (name, rules) in ["old.toml", "new.toml"].iter().zip(&self.rules) {
            scratch.write(name, rules.toml());
        }
        if let Some(suppressed) = &self.suppressed {
            scratch.write("suppressed.txt", suppressed.join("\n"));
        }
        if let Some(rows) = &self.ledger {
            let row = |(run, promo, email, outcome): &(&str, &str, &str, &str)| {
                let promo = if promo.contains(',') { format!("\"{promo}\"") } else { (*promo).to_owned() };
                format!("{run},{promo},{email},{outcome},\n")
            };
            scratch.write("ledger.csv", LEDGER_HEADER.to_owned() + &rows.iter().map(row).collect::<String>());
        }
        scratch
    }

    /// The options of the policy that all commands share.
    fn options(&self) -> String {
        let suppress = self.suppressed.as_ref().map_or("", |_| " --suppress suppressed.txt");
        let ignore_case = if self.ignore_case { " --ignore-case" } else { "" };
        format!("{suppress}{ignore_case}")
    }

    /// Runs a command that reads the ledger.
    pub fn read_only(&self, scratch: &Scratch, command: &str) -> CommandOutput {
        let (partitions, threads) = self.numbers;
        let mut args = format!("{command} {SOURCES}{} --partitions {partitions} --threads {threads}", self.options());
        if self.ledger.is_some() {
            args += " --ledger ledger.csv";
            args += &self.run_id.map_or(String::new(), |id| format!(" --run-id {id}"));
        }
        scratch.run(&args)
    }

    /// The decisions of `adseg run` with this campaign file; `none` is a run without a policy.
    pub fn run(&self, scratch: &Scratch, campaign: &str) -> Vec<DecidedClick> {
        let mut args = format!("run {SOURCES} --output-format jsonl");
        if campaign != "none" {
            args += &format!(" --campaign {campaign}{}", self.options());
            if self.ledger.is_some() {
                // The run appends to its ledger.
                scratch.write("ledger-of-run.csv", scratch.read("ledger.csv"));
                let id = self.run_id.unwrap_or("another");
                args += &format!(" --ledger ledger-of-run.csv --run-id {id} -o decisions.jsonl");
            }
        }
        let CommandOutput { code, stdout, stderr } = scratch.run(&args);
        assert_eq!(code, Some(0), "{args}: {stderr}");
        let jsonl = if args.contains(" -o ") { scratch.read("decisions.jsonl") } else { stdout };
        let decided = |(index, line): (usize, &str)| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let send = line["send"].as_bool().unwrap();
            let without = DecidedClick::reason_without_policy(line["conversion"].as_str().unwrap(), send);
            let reason = line["reason"].as_str().unwrap_or(without).to_owned();
            // The header row is line 1.
            DecidedClick { line: index + 2, email: text("email"), promo: text("promo"), reason, send }
        };
        jsonl.lines().enumerate().map(decided).collect()
    }
}

impl Rules {
    fn toml(&self) -> String {
        let promos = self.promos.as_ref().map_or(String::new(), |promos| format!("promos = {promos:?}\n"));
        let once = self.once.map_or(String::new(), |once| format!("once = {once:?}\n"));
        let holdout = if self.holdout { "[holdout]\npercent = \"40\"\nkey = \"k\"\n" } else { "" };
        format!("{promos}{once}[match]\nignore_case = {}\n{holdout}", self.ignore_case)
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let promos = option::weighted(0.3, subsequence(&PolicyCampaign::PROMOS[..], 1..2));
    let once = option::of(select(&["promo", "customer", "never"][..]));
    (promos, once, prop::bool::weighted(0.4), prop::bool::weighted(0.4))
        .prop_map(|(promos, once, ignore_case, holdout)| Rules { promos, once, ignore_case, holdout })
}

/// A random campaign.
pub fn campaign() -> impl Strategy<Value = PolicyCampaign> {
    let (emails, promos) = (select(&PolicyCampaign::EMAILS[..]), select(&PolicyCampaign::PROMOS[..]));
    let kinds = select(&["ClickConversion", "ClickConversion", "BasketConversion", "PurchaseConversion"][..]);
    let conversions = prop::collection::vec((promos.clone(), kinds, emails.clone()), 0..40);
    let list = prop::collection::vec(emails.clone(), 0..9);
    let suppressed = prop::collection::vec(select(&["KIM@X", "lee@gmail.com", "BO@Y"][..]), 1..3);
    let rows = (select(&["n1", "n2"][..]), promos, emails, select(&["sent", "held-out"][..]));
    let ledger = prop::collection::vec(rows, 0..4);
    (
        (list, conversions, rules(), rules()),
        option::weighted(0.3, suppressed),
        (option::weighted(0.5, ledger), option::of(select(&["n1", "n2", "n3"][..]))),
        (prop::bool::weighted(0.2), (1_u32..20, 1_u32..4)),
    )
        .prop_map(|((list, conversions, old, new), suppressed, (ledger, run_id), (ignore_case, numbers))| {
            PolicyCampaign { list, conversions, rules: [old, new], suppressed, ledger, run_id, ignore_case, numbers }
        })
}
