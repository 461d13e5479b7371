//! The figures of a report against a serial model that computes each of them on its own, the slow and obvious way, over
//! one stream of members and conversions: whatever the numbers of partitions and threads and the sizes of blocks are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use adseg::computation::{Reported, Reporting};
use adseg::encoder::Silent;
use adseg::engine::{Counts, Job, Observer, Settings, replay};
use adseg::record::Expected;
use adseg::report::{json, tables};
use adseg::sink::Rejection;
use adseg::source::{Input, InputFormat, Origin, ReaderSettings, SourceError};
use adseg::tally::Totals;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// What happened, in order.
#[derive(Debug, Clone)]
enum Happening {
    Row { email: &'static str, fb: bool, insta: bool, gender: &'static str },
    Click { email: &'static str, promo: String, channel: String },
    Basket { email: &'static str, promo: String, items: Vec<&'static str> },
    Purchase { email: &'static str, promo: String, items: Vec<&'static str>, cost: &'static str },
}

use Happening::{Basket, Click, Purchase, Row};

/// Costs as they are written, what each is in cents, and how many decimals it was written with. Some cannot be added up.
const COSTS: [(&str, Option<i128>, u8); 6] = [
    ("18.64", Some(1864), 2),
    ("-3.5", Some(-350), 1),
    ("+007", Some(700), 0),
    ("0.01", Some(1), 2),
    ("1234567890123456789", None, 0),
    ("999999999999.99", Some(99_999_999_999_999), 2),
];

fn cents(cost: &str) -> Option<i128> {
    COSTS.iter().find(|(text, ..)| *text == cost).unwrap().1
}

impl Happening {
    fn line(&self) -> String {
        match self {
            Row { email, fb, insta, gender } => {
                format!("{email}, {}, {}, {gender}", if *fb { "fb" } else { "" }, if *insta { "insta" } else { "" })
            }
            Click { email, promo, channel } => format!("{promo}, ClickConversion, {email}, {channel}"),
            Basket { email, promo, items } => format!("{promo}, BasketConversion, {email}, [{}]", items.join(";")),
            Purchase { email, promo, items, cost } => {
                format!("{promo}, PurchaseConversion, {email}, [{}], {cost}", items.join(";"))
            }
        }
    }

    fn email(&self) -> &'static str {
        match self {
            Row { email, .. } | Click { email, .. } | Basket { email, .. } | Purchase { email, .. } => email,
        }
    }

    fn is_row(&self) -> bool {
        matches!(self, Row { .. })
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let emails = ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x", "h@x", "i@x", "A@x"];
    let email = move || select(emails.to_vec());
    // More pairs of promo and channel than are remembered in bits.
    let promo = || (0_u32..10).prop_map(|number| format!("promo{number}"));
    let channel = (0_u32..10).prop_map(|number| if number == 0 { String::new() } else { format!("<b>{number}") });
    let items = || prop::collection::vec(select(vec!["6", "14", "=9", "6"]), 0..5);
    let cost = select(&COSTS[..]).prop_map(|(cost, ..)| cost);
    prop_oneof![
        2 => (email(), any::<bool>(), any::<bool>(), select(vec!["F", "M", ""]))
            .prop_map(|(email, fb, insta, gender)| Row { email, fb, insta, gender }),
        6 => (email(), promo(), channel).prop_map(|(email, promo, channel)| Click { email, promo, channel }),
        3 => (email(), promo(), items()).prop_map(|(email, promo, items)| Basket { email, promo, items }),
        2 => (email(), promo(), items(), cost)
            .prop_map(|(email, promo, items, cost)| Purchase { email, promo, items, cost }),
    ]
}

/// Everything that happened, with what the rule says of it.
struct Model<'a> {
    happenings: &'a [Happening],
    /// For each happening: whether its customer was a member before it.
    was_member: Vec<bool>,
    /// Customers who were members at their first conversion.
    early: BTreeSet<&'static str>,
    decimals: usize,
}

impl<'a> Model<'a> {
    fn of(happenings: &'a [Happening]) -> Self {
        let (mut members, mut met, mut early) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut was_member = Vec::new();
        for happening in happenings {
            let email = happening.email();
            was_member.push(members.contains(email));
            if !happening.is_row() && met.insert(email) && members.contains(email) {
                early.insert(email);
            }
            if matches!(happening, Row { .. } | Purchase { .. }) {
                members.insert(email);
            }
        }
        let written = happenings.iter().filter_map(|happening| match happening {
            Purchase { cost, .. } => COSTS.iter().find(|(text, cents, _)| text == cost && cents.is_some()),
            _ => None,
        });
        let decimals = written.map(|&(_, _, decimals)| usize::from(decimals)).max().unwrap_or(0);
        Self { happenings, was_member, early, decimals }
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &'a Happening)> {
        self.happenings.iter().enumerate().filter(|(_, happening)| !happening.is_row())
    }

    fn count(&self, wanted: impl Fn(usize, &Happening) -> bool) -> usize {
        self.numbered().filter(|&(number, happening)| wanted(number, happening)).count()
    }

    fn customers(&self, wanted: impl Fn(usize, &Happening) -> bool) -> usize {
        let wanted = self.numbered().filter(|&(number, happening)| wanted(number, happening));
        wanted.map(|(_, happening)| happening.email()).collect::<BTreeSet<_>>().len()
    }

    fn sends(&self, number: usize, happening: &Happening) -> bool {
        matches!(happening, Click { .. }) && self.was_member[number]
    }

    fn enrols(&self, number: usize, happening: &Happening) -> bool {
        matches!(happening, Purchase { .. }) && !self.was_member[number]
    }

    fn cents(&self, wanted: impl Fn(&Happening) -> bool) -> i128 {
        let costs =
            self.happenings.iter().filter(|happening| wanted(happening)).filter_map(|happening| match happening {
                Purchase { cost, .. } => cents(cost),
                _ => None,
            });
        costs.sum()
    }

    fn money(&self, cents: i128) -> String {
        let text = decimal(cents);
        let short = text.len() - (2 - self.decimals);
        text[..short].trim_end_matches('.').to_owned()
    }

    fn group(&self, name: &str, in_group: impl Fn(&Happening) -> bool + Copy) -> [Value; 2] {
        let click = |happening: &Happening| matches!(happening, Click { .. }) && in_group(happening);
        let basket = |happening: &Happening| matches!(happening, Basket { .. }) && in_group(happening);
        let purchase = |happening: &Happening| matches!(happening, Purchase { .. }) && in_group(happening);
        let unsummed = |happening: &Happening| match happening {
            Purchase { cost, .. } => cents(cost).is_none() && in_group(happening),
            _ => false,
        };
        let cents = self.cents(in_group);
        let summed = (self.count(|_, it| purchase(it)) - self.count(|_, it| unsummed(it))) as i128;
        let average = (summed > 0).then(|| {
            let sign = if cents < 0 { -1 } else { 1 };
            decimal(sign * ((2 * cents.abs() + summed) / (2 * summed)))
        });
        let totals = json!({
            "group": name,
            "customers": self.customers(|_, it| in_group(it)),
            "customers_who_clicked": self.customers(|_, it| click(it)),
            "customers_with_a_basket": self.customers(|_, it| basket(it)),
            "customers_who_bought": self.customers(|_, it| purchase(it)),
            "clicks": self.count(|_, it| click(it)),
            "codes": self.count(|number, it| in_group(it) && self.sends(number, it)),
            "baskets": self.count(|_, it| basket(it)),
            "purchases": self.count(|_, it| purchase(it)),
            "revenue": self.money(cents),
            "average_order": average,
            "not_in_revenue": self.count(|_, it| unsummed(it)),
            "new_members": self.count(|number, it| in_group(it) && self.enrols(number, it)),
        });
        // Somebody went that far if there are such records of theirs in this order.
        let clicked_before = |number: usize, email: &str| {
            self.numbered().any(|(earlier, it)| earlier < number && click(it) && it.email() == email)
        };
        let basket_before = |number: usize, email: &str| {
            let earlier =
                self.numbered().filter(|(earlier, it)| *earlier < number && basket(it) && it.email() == email);
            earlier.map(|(earlier, _)| earlier).any(|earlier| clicked_before(earlier, email))
        };
        let funnel = json!({
            "group": name,
            "clicked": self.customers(|_, it| click(it)),
            "then_basket": self.customers(|number, it| basket(it) && clicked_before(number, it.email())),
            "then_purchase": self.customers(|number, it| purchase(it) && basket_before(number, it.email())),
        });
        [totals, funnel]
    }

    fn reach(&self, names: &[(&str, &str)], wanted: impl Fn(&str, &str) -> bool) -> Value {
        let click = |happening: &Happening| match happening {
            Click { promo, channel, .. } => wanted(promo, channel),
            _ => false,
        };
        let mut row = json!({
            "clicks": self.count(|_, it| click(it)),
            "customers": self.customers(|_, it| click(it)),
            "codes": self.count(|number, it| click(it) && self.sends(number, it)),
        });
        names.iter().for_each(|(key, name)| row[key] = json!(name));
        row
    }

    fn promo(&self, name: &str) -> Value {
        let mut row = self.reach(&[("promo", name)], |promo, _| promo == name);
        let is = |happening: &Happening| match happening {
            Purchase { promo, .. } => promo == name,
            _ => false,
        };
        row["baskets"] = json!(self.count(|_, it| matches!(it, Basket { promo, .. } if promo == name)));
        row["purchases"] = json!(self.count(|_, it| is(it)));
        row["revenue"] = json!(self.money(self.cents(is)));
        row["new_members"] = json!(self.count(|number, it| is(it) && self.enrols(number, it)));
        row
    }

    fn item(&self, id: &str) -> Value {
        let holds = |happening: &Happening| match happening {
            Purchase { items, .. } => items.iter().filter(|item| **item == id).count(),
            _ => 0,
        };
        json!({
            "item": id,
            "revenue": self.money(self.cents(|it| holds(it) > 0)),
            "orders": self.count(|_, it| holds(it) > 0),
            "units": self.happenings.iter().map(holds).sum::<usize>(),
            "baskets": self.count(|_, it| matches!(it, Basket { items, .. } if items.contains(&id))),
        })
    }

    fn members(&self) -> (Value, Vec<Value>) {
        let mut latest = BTreeMap::new();
        let mut genders: BTreeMap<&str, [u64; 5]> = BTreeMap::new();
        for happening in self.happenings {
            if let Row { email, fb, insta, gender } = happening {
                latest.insert(*email, (*fb, *insta, *gender));
            }
        }
        for (fb, insta, gender) in latest.values() {
            let counts = genders.entry(gender).or_default();
            counts[0] += 1;
            counts[match (fb, insta) {
                (true, false) => 1,
                (false, true) => 2,
                (true, true) => 3,
                (false, false) => 4,
            }] += 1;
        }
        let joined = self.numbered().filter(|(number, it)| self.enrols(*number, it));
        let joined = joined.filter(|(_, it)| !latest.contains_key(it.email())).count();
        let membership =
            json!([{"members": latest.len() + joined, "with_a_row": latest.len(), "without_a_row": joined}]);
        let gender = |(gender, [members, facebook, instagram, both, neither]): (&&str, &[u64; 5])| {
            json!({
                "gender": gender, "members": members, "facebook": facebook, "instagram": instagram, "both": both,
                "neither": neither,
            })
        };
        (membership, genders.iter().map(gender).collect())
    }

    /// Stretches of the shortest power of two that makes them no more than a hundred.
    fn course(&self) -> Vec<Value> {
        let numbers: Vec<usize> = self.numbered().map(|(number, _)| number).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Vec::new() };
        let power = (0..).find(|power| (last >> power) - (first >> power) < 100).unwrap();
        let stretches = first >> power..=last >> power;
        let so_far = |end: usize| {
            let before = |number: usize| number >> power <= end;
            json!({
                "conversions": self.count(|number, _| before(number)),
                "new_members": self.count(|number, it| before(number) && self.enrols(number, it)),
            })
        };
        stretches.map(so_far).collect()
    }

    fn report(&self) -> Value {
        let groups = [
            self.group("all", |_| true),
            self.group("members", |it| self.early.contains(it.email())),
            self.group("others", |it| !self.early.contains(it.email())),
        ];
        let (mut promos, mut channels, mut pairs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut items: BTreeSet<&str> = BTreeSet::new();
        for happening in self.happenings {
            match happening {
                Row { .. } => {}
                Click { promo, channel, .. } => {
                    promos.insert(promo);
                    channels.insert(channel);
                    pairs.insert((promo, channel));
                }
                Basket { promo, items: held, .. } | Purchase { promo, items: held, .. } => {
                    promos.insert(promo);
                    items.extend(held.iter().copied());
                }
            }
        }
        let channel = |name: &&String| self.reach(&[("channel", name)], |_, channel| channel == *name);
        let pair = |(promo, channel): &(&String, &String)| {
            self.reach(&[("promo", promo), ("channel", channel)], |one, other| one == *promo && other == *channel)
        };
        let (membership, genders) = self.members();
        let conversions = self.numbered().count();
        json!({
            "totals": groups.each_ref().map(|[totals, _]| totals),
            "funnel": groups.each_ref().map(|[_, funnel]| funnel),
            "promos": promos.iter().map(|name| self.promo(name)).collect::<Vec<_>>(),
            "channels": channels.iter().map(channel).collect::<Vec<_>>(),
            "promo_channels": pairs.iter().map(pair).collect::<Vec<_>>(),
            "items": items.iter().map(|id| self.item(id)).collect::<Vec<_>>(),
            "membership": membership,
            "genders": genders,
            "course": self.course(),
            "records": [{
                "records": self.happenings.len(), "conversions": conversions,
                "loyalty_rows": self.happenings.len() - conversions, "rejects": 0, "blanks": 0,
            }],
        })
    }
}

/// Cents with two digits behind the point.
fn decimal(cents: i128) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

/// The lists are sorted by what they count; the model sorts by name. Both are compared by name.
fn by_name(mut report: Value) -> Value {
    for list in ["promos", "channels", "promo_channels", "items", "genders"] {
        let names = |row: &Value| ["promo", "channel", "item", "gender"].map(|key| row[key].to_string());
        report[list].as_array_mut().unwrap().sort_by_key(names);
    }
    report
}

struct Nobody;

impl Observer for Nobody {
    fn advanced(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        panic!("{:?}", rejection.reason)
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn damaged(&mut self, error: &SourceError) -> io::Result<()> {
        panic!("{error}")
    }
}

fn report(happenings: &[Happening], settings: &Settings) -> Value {
    let lines: String = happenings.iter().map(|happening| happening.line() + "\n").collect();
    let input = Input {
        name: "stream".to_owned(),
        expected: Expected::Either,
        format: InputFormat::Text,
        origin: Origin::Feed(Box::new(Cursor::new(lines.into_bytes()))),
        meter: Arc::default(),
    };
    let job = Job { computation: Reporting, encoder: Silent };
    let outcome = replay(&job, settings, vec![input], Box::new(io::sink()), &mut Nobody).unwrap();
    let totals = Totals::of(outcome.states.into_iter().map(Reported::into_tallies).collect());
    serde_json::from_str(&json(&tables(&totals, &outcome.counts)).unwrap()).unwrap()
}

fn settings() -> impl Strategy<Value = Settings> {
    (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]), 1_usize..3_000, 1_usize..300).prop_map(
        |(partitions, threads, block_bytes, slice_bytes)| Settings {
            partitions: NonZeroU32::new(partitions).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            reader: ReaderSettings { block_bytes, ..ReaderSettings::default() },
            slice_bytes,
            max_rejects: 0,
        },
    )
}

/// How many cases are tried; `ADSEG_CASES` says how many for a closer look.
fn cases() -> u32 {
    std::env::var("ADSEG_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_report_tells_what_the_serial_model_tells(
        happenings in prop::collection::vec(happening(), 0..250),
        settings in settings(),
    ) {
        let expected = Model::of(&happenings).report();
        prop_assert_eq!(by_name(report(&happenings, &settings)), by_name(expected));
    }
}
