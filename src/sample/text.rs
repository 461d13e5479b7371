//! The text of sample records: emails, user names, promos, items, and the faults of bad records.
//! Different customer numbers give different emails, all in domains that RFC 2606 reserves for examples.

use crate::record::ConversionKind;

const FIRST_NAMES: [&str; 64] = [
    "adrian", "alex", "amal", "andrea", "ariel", "ashley", "aubrey", "avery", "bailey", "blair", "bobbie", "brook",
    "cameron", "carmen", "casey", "charlie", "dakota", "dana", "darcy", "devon", "drew", "eden", "elliot", "emerson",
    "finley", "frances", "gale", "harper", "hayden", "hollis", "jamie", "jean", "jesse", "jordan", "jules", "kai",
    "kelly", "kendall", "kim", "lane", "lee", "leslie", "logan", "marion", "micah", "morgan", "nico", "noel", "parker",
    "pat", "quinn", "reese", "riley", "robin", "rowan", "sam", "sasha", "shannon", "sidney", "skyler", "taylor",
    "toni", "tracy", "valery",
];

const SURNAMES: [&str; 64] = [
    "abbott", "archer", "bailey", "baker", "barber", "bishop", "brewer", "brook", "butler", "carter", "chandler",
    "clarke", "cooper", "dale", "draper", "dyer", "farmer", "fields", "fisher", "fletcher", "forester", "fowler",
    "gardner", "glover", "green", "harper", "hill", "hooper", "hunter", "judge", "knight", "lake", "marsh", "mason",
    "mercer", "miller", "moore", "naylor", "page", "parker", "piper", "porter", "potter", "reed", "rivers", "sawyer",
    "shepherd", "singer", "skinner", "smith", "spencer", "stone", "taylor", "thatcher", "tucker", "turner", "tyler",
    "walker", "waters", "weaver", "webster", "wheeler", "woods", "wright",
];

#[rustfmt::skip]
const DOMAINS: [&str; 8] = [
    "example.com", "example.net", "example.org", "mail.example.com", "mail.example.net", "post.example.org",
    "shop.example", "home.example",
];

const GENDERS: [&str; 16] = ["F", "M", "F", "M", "F", "M", "F", "M", "F", "M", "F", "M", "X", "", "", ""];

#[rustfmt::skip]
const PROMOS: [&str; 8] = [
    "MarsupialHoodie", "MarsupialHoodie", "MarsupialHoodie", "WombatSocks", "WombatSocks", "QuokkaTote", "PlatypusCap",
    "KoalaMug",
];

const CHANNELS: [&str; 8] =
    ["Instagram", "Instagram", "Instagram", "Instagram", "Facebook", "Facebook", "Newsletter", "Search"];

/// The price of item 1, item 2 and so on. Whole cents add up exactly.
const CENTS: [u64; 32] = [
    999, 1_499, 2_450, 399, 5_995, 1_165, 749, 12_900, 699, 3_275, 1_890, 95, 4_499, 2_199, 8_750, 1_250, 599, 1_799,
    6_400, 2_999, 449, 10_995, 3_650, 825, 1_999, 24_900, 1_085, 549, 7_325, 2_745, 1_349, 15_999,
];

const ITEM_COUNTS: [u64; 8] = [1, 1, 1, 2, 2, 2, 3, 5];

/// Appends `email, Facebook user, Instagram user, gender`; `bits` pick all but the email.
pub(super) fn push_member(record: &mut Vec<u8>, customer: u64, bits: u64) {
    push_email(record, customer);
    for (joint, bits) in [(".", bits), ("_", bits >> 2)] {
        push(record, &[", "]);
        if bits & 3 != 0 {
            push_user(record, customer, joint);
        }
    }
    push(record, &[", ", pick(&GENDERS, bits >> 4)]);
}

/// Appends a conversion; `bits` pick the promo (from bit 0), the channel (from bit 8) and the items (from bit 16).
pub(super) fn push_conversion(record: &mut Vec<u8>, kind: ConversionKind, customer: u64, bits: u64) {
    push(record, &[pick(&PROMOS, bits), ", ", kind.name(), ", "]);
    push_email(record, customer);
    push(record, &[", "]);
    if kind == ConversionKind::Click {
        return push(record, &[pick(&CHANNELS, bits >> 8)]);
    }
    let cents = push_items(record, bits >> 16);
    if kind == ConversionKind::Purchase {
        push(record, &[", "]);
        push_decimal(record, cents / 100);
        push(record, &["."]);
        push_decimal(record, cents / 10 % 10);
        push_decimal(record, cents % 10);
    }
}

/// Appends items like `[6;14]` and returns their total cost in cents. 3 bits pick the count, 5 bits each item.
fn push_items(record: &mut Vec<u8>, bits: u64) -> u64 {
    let mut cents = 0;
    for position in 0..pick(&ITEM_COUNTS, bits) {
        let item = bits >> (3 + 5 * position);
        push(record, &[if position == 0 { "[" } else { ";" }]);
        push_decimal(record, item % 32 + 1);
        cents += pick(&CENTS, item);
    }
    push(record, &["]"]);
    cents
}

/// Appends the email of a customer.
pub(super) fn push_email(record: &mut Vec<u8>, customer: u64) {
    push_user(record, customer, ".");
    push(record, &["@", pick(&DOMAINS, scattered(customer) >> 12)]);
}

/// Appends a user name like `quinn.walker42`. The number distinguishes customers with equal names and domain.
fn push_user(record: &mut Vec<u8>, customer: u64, joint: &str) {
    let names = scattered(customer);
    push(record, &[pick(&FIRST_NAMES, names), joint, pick(&SURNAMES, names >> 6)]);
    if customer >> 15 > 0 {
        push_decimal(record, customer >> 15);
    }
}

/// Permutes the low 15 bits, so consecutive numbers differ in names and domain: 6 bits pick the first name, 6 the
/// surname, 3 the domain. Multiplying by an odd number and xor with a right shift are both bijections.
fn scattered(customer: u64) -> u64 {
    let bits = ((customer & 0x7fff) * 0x5a35) & 0x7fff;
    ((bits ^ bits >> 7) * 0x6f4b) & 0x7fff
}

fn push(record: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| record.extend_from_slice(part.as_bytes()));
}

fn push_decimal(record: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_decimal(record, number / 10);
    }
    record.push(b'0' + (number % 10) as u8);
}

/// How many faults [`push_bad_conversion`] has.
pub(super) const FAULTS: u64 = 7;

/// Appends a conversion with a fault. It is an invalid loyalty row as well: in an interleaved stream, a record of
/// unknown type is read as one.
pub(super) fn push_bad_conversion(record: &mut Vec<u8>, kind: ConversionKind, customer: u64, bits: u64, fault: u64) {
    // Some faults need items or a cost.
    let kind = match fault {
        4 | 5 => ConversionKind::Basket,
        6 => ConversionKind::Purchase,
        _ => kind,
    };
    let mut good = Vec::new();
    push_conversion(&mut good, kind, customer, bits);
    let good = String::from_utf8(good).expect("sample records are ASCII");
    let mut fields: Vec<String> = good.split(", ").map(str::to_owned).collect();
    match fault {
        0 => {
            let misspelled = match kind {
                ConversionKind::Click => "ClikConversion",
                ConversionKind::Basket => "Basketconversion",
                ConversionKind::Purchase => "PurchaseConversion.",
            };
            // With a promo this would be a valid loyalty row.
            fields.splice(..2, ["", misspelled].map(str::to_owned));
        }
        1 => drop(fields.pop()),
        2 => fields[2].clear(),
        // Delete, unlike other control bytes, does nothing to a terminal.
        3 => fields[2].push('\x7f'),
        4 => fields[3] = fields[3].replace(['[', ']'], ""),
        5 => fields[3] = fields[3].replace(']', ";]"),
        _ => fields[4].insert_str(0, "EUR "),
    }
    push(record, &[&fields.join(", ")]);
}

/// The entry of `table` at these bits. A frequent value is in the table several times.
fn pick<T: Copy, const N: usize>(table: &[T; N], bits: u64) -> T {
    table[(bits % N as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    // Names are letters only, so the number after them can be read back: this holds for all customer numbers.
    #[test]
    fn every_customer_has_a_different_email() {
        let mut emails = HashSet::new();
        for number in (0..200_000).chain((1 << 40)..(1 << 40) + 50_000).chain(u64::MAX - 50_000..=u64::MAX) {
            let mut email = Vec::new();
            push_email(&mut email, number);
            assert!(emails.insert(email), "{number}");
        }
        assert!(FIRST_NAMES.iter().chain(&SURNAMES).all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
