//! The policy of the serial model: the gates, the ledger and the codes, with maps and linear searches.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use md5::Md5;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::decode::Details;

/// How often a customer is sent a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelOnce {
    Promo,
    Customer,
    Never,
}

/// The format of the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecisionFormat {
    #[default]
    Text,
    Csv,
    JsonLines,
}

/// A row of a ledger. The code is empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    pub run: String,
    pub promo: Vec<u8>,
    pub email: Vec<u8>,
    pub is_sent: bool,
    pub code: String,
}

#[derive(Debug, Clone, Default)]
pub struct ModelPolicy {
    pub promos: Option<Vec<String>>,
    pub once: Option<ModelOnce>,
    pub ignores_case: bool,
    /// The percentage and the key.
    pub holdout: Option<(String, String)>,
    pub withholds: bool,
    /// The lines of a suppression list.
    pub suppressed: Option<Vec<String>>,
    pub run_id: String,
    pub ledger: Option<Vec<ModelRow>>,
    /// The promo of each code is `None` if the codes are for all promos.
    pub codes: Option<Vec<(Option<String>, String)>>,
    pub format: DecisionFormat,
    pub send_only: bool,
}

impl ModelPolicy {
    /// The bytes before the first decision.
    pub fn header(&self) -> Vec<u8> {
        let fields = "promo,conversion,email,where,items,total_cost,send,enrolled";
        let policy = if self.has_gates() { ",reason,code" } else { "" };
        if self.format == DecisionFormat::Csv { format!("{fields}{policy}\n").into() } else { Vec::new() }
    }

    pub fn once(&self) -> ModelOnce {
        let default = if self.ledger.is_some() { ModelOnce::Promo } else { ModelOnce::Never };
        self.once.unwrap_or(default)
    }

    pub fn has_gates(&self) -> bool {
        let has_rule = self.promos.is_some() || self.once() != ModelOnce::Never || self.holdout.is_some();
        has_rule || self.suppressed.is_some() || self.ledger.is_some() || self.codes.is_some()
    }

    fn is_suppressed(&self, email: &[u8]) -> bool {
        let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
        let lower = email.to_ascii_lowercase();
        let mut forms = vec![lower.clone()];
        if let Some(local) = gmail(&lower) {
            forms.extend(["gmail.com", "googlemail.com"].map(|at| [&local[..], b"@", at.as_bytes()].concat()));
        }
        self.suppressed.iter().flatten().any(|line| {
            let line = line.split(',').next().unwrap().trim().to_ascii_lowercase().into_bytes();
            let is_same_gmail = gmail(&line).is_some_and(|local| Some(local) == gmail(&lower));
            let is_digest = |of: &Vec<u8>| hex(&Md5::digest(of)) == line || hex(&Sha256::digest(of)) == line;
            line == lower || is_same_gmail || forms.iter().any(is_digest)
        })
    }

    fn is_held_out(&self, email: &[u8]) -> bool {
        let Some((percent, key)) = &self.holdout else { return false };
        let digest = Sha256::digest([key.as_bytes(), b":", &email.to_ascii_lowercase()].concat());
        let share = u64::from_be_bytes(digest[..8].try_into().unwrap()) as f64 / 2_f64.powi(64);
        // The tests use percentages for which no digest is near the threshold.
        share < percent.parse::<f64>().unwrap() / 100.0
    }
}

/// The local part of a Gmail address in lower case, without dots and tag.
fn gmail(email: &[u8]) -> Option<Vec<u8>> {
    let email = String::from_utf8_lossy(email).into_owned();
    let (local, domain) = email.rsplit_once('@')?;
    let local = local.split('+').next().unwrap().replace('.', "").into_bytes();
    ["gmail.com", "googlemail.com"].contains(&domain).then_some(local)
}

/// A customer and a promo, or a customer.
type Recipient = (Vec<u8>, Option<Vec<u8>>);

/// What the policy did in a run.
#[derive(Debug)]
pub struct PolicyRun {
    policy: ModelPolicy,
    /// The new rows of the ledger.
    pub rows: Vec<ModelRow>,
    /// The number of missing codes by promo.
    pub missing: BTreeMap<Vec<u8>, u64>,
    /// The unused codes.
    pub unused: Vec<(Option<String>, String)>,
    pub reasons: BTreeMap<&'static str, u64>,
    /// The codes of this run in the ledger, by customer and promo.
    resent: HashMap<Recipient, VecDeque<String>>,
    held_out: HashSet<Recipient>,
    sent: HashSet<Recipient>,
    withheld: HashSet<Recipient>,
}

impl PolicyRun {
    pub fn new(policy: &ModelPolicy) -> Self {
        let (mut resent, mut held_out) = (HashMap::<_, VecDeque<_>>::new(), HashSet::new());
        let of_run = |row: &&ModelRow| row.run == policy.run_id;
        for row in policy.ledger.iter().flatten().filter(of_run) {
            let recipient = (row.email.to_ascii_lowercase(), Some(row.promo.clone()));
            if row.is_sent {
                resent.entry(recipient).or_default().push_back(row.code.clone());
            } else {
                held_out.insert(recipient);
            }
        }
        let is_used = |code: &String| policy.ledger.iter().flatten().any(|row| row.code == *code);
        let unused = policy.codes.iter().flatten().filter(|(_, code)| !is_used(code)).cloned().collect();
        Self {
            policy: policy.clone(),
            rows: Vec::new(),
            missing: BTreeMap::new(),
            unused,
            reasons: BTreeMap::new(),
            resent,
            held_out,
            sent: HashSet::new(),
            withheld: HashSet::new(),
        }
    }

    pub fn ignores_case(&self) -> bool {
        self.policy.ignores_case
    }

    /// Decides a conversion and appends the decision to `out`.
    pub fn decide(
        &mut self,
        kind: &[u8],
        email: &[u8],
        details: &Details,
        (is_eligible, enrolled): (bool, bool),
        out: &mut Vec<u8>,
    ) {
        let (reason, code) = match kind {
            b"ClickConversion" if is_eligible => self.gates(email, &details.promo),
            b"ClickConversion" => ("not-a-member", String::new()),
            b"BasketConversion" => ("basket", String::new()),
            _ => ("purchase", String::new()),
        };
        *self.reasons.entry(reason).or_default() += 1;
        let send = reason == "member-click";
        if !send && self.policy.send_only {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self.policy.format {
            DecisionFormat::Text => {
                let decision = if send { &b", True\n"[..] } else { b", False\n" };
                out.extend([b"Send additional promo code to: ", email, decision].concat());
            }
            DecisionFormat::Csv => {
                let Details { promo, channel, items, total_cost } = details;
                let (send, enrolled) = (send.to_string().into_bytes(), enrolled.to_string().into_bytes());
                let mut row = vec![promo, kind, email, channel, items, total_cost, &send, &enrolled];
                if self.policy.has_gates() {
                    row.extend([reason.as_bytes(), code.as_bytes()]);
                }
                out.extend(csv_row(&row));
            }
            DecisionFormat::JsonLines => {
                let (is_click, is_purchase) = (kind == b"ClickConversion", kind == b"PurchaseConversion");
                let items = text(&details.items);
                let items = items.strip_prefix('[').and_then(|items| items.strip_suffix(']'));
                let items: Option<Vec<_>> =
                    items.map(|items| items.split(';').filter(|id| !id.is_empty()).map(str::trim).collect());
                let cost = Some(text(&details.total_cost)).filter(|cost| is_purchase && !cost.is_empty());
                let mut members = vec![
                    ("promo", json!(text(&details.promo))),
                    ("conversion", json!(text(kind))),
                    ("email", json!(text(email))),
                    ("where", json!(is_click.then(|| text(&details.channel)))),
                    ("items", json!(items.filter(|_| !is_click))),
                    ("total_cost", json!(cost)),
                    ("send", json!(send)),
                    ("enrolled", json!(enrolled)),
                ];
                if self.policy.has_gates() {
                    let code = Some(code).filter(|code| !code.is_empty());
                    members.extend([("reason", json!(reason)), ("code", json!(code))]);
                }
                let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                out.extend(format!("{{{}}}\n", members.join(",")).bytes());
            }
        }
    }

    /// The reason and the code for a click by a member.
    pub fn gates(&mut self, email: &[u8], promo: &[u8]) -> (&'static str, String) {
        let Self { policy, .. } = self;
        let stopped = |reason| (reason, String::new());
        if policy.promos.as_ref().is_some_and(|promos| promos.iter().all(|named| named.as_bytes() != promo)) {
            return stopped("other-promo");
        }
        if policy.is_suppressed(email) {
            return stopped("suppressed");
        }
        let customer = email.to_ascii_lowercase();
        let of_promo = (customer.clone(), Some(promo.to_vec()));
        let recipient = match policy.once() {
            ModelOnce::Promo => Some(of_promo.clone()),
            ModelOnce::Customer => Some((customer.clone(), None)),
            ModelOnce::Never => None,
        };
        if let Some(recipient) = &recipient {
            let is_same = |row: &ModelRow| {
                let promo = recipient.1.as_ref().is_none_or(|promo| *promo == row.promo);
                row.is_sent && promo && row.email.eq_ignore_ascii_case(&customer)
            };
            let earlier = |row: &ModelRow| row.run != policy.run_id && is_same(row);
            if policy.ledger.iter().flatten().any(earlier) {
                return stopped("already-sent");
            }
            if self.withheld.contains(recipient) {
                return stopped("no-code-left");
            }
            if self.sent.contains(recipient) {
                return stopped("already-sent");
            }
        }
        // What this run did before.
        if let Some(code) = self.resent.get_mut(&of_promo).and_then(VecDeque::pop_front) {
            self.sent.extend(recipient);
            return ("member-click", code);
        }
        if self.held_out.contains(&of_promo) {
            return stopped("held-out");
        }
        let was_sent = |row: &ModelRow| row.is_sent && row.email.eq_ignore_ascii_case(&customer);
        let of_run = |row: &ModelRow| row.run == policy.run_id && was_sent(row);
        if policy.once() == ModelOnce::Customer && policy.ledger.iter().flatten().any(of_run) {
            return stopped("already-sent");
        }
        let row = |is_sent, code: &str| ModelRow {
            run: policy.run_id.clone(),
            promo: promo.to_vec(),
            email: email.to_vec(),
            is_sent,
            code: code.to_owned(),
        };
        if policy.is_held_out(email) {
            if policy.ledger.is_some() {
                self.rows.push(row(false, ""));
                self.held_out.insert(of_promo);
            }
            return stopped("held-out");
        }
        let mut code = String::new();
        if policy.codes.is_some() {
            let is_for = |(of, _): &(Option<String>, String)| of.as_ref().is_none_or(|of| of.as_bytes() == promo);
            match self.unused.iter().position(is_for) {
                Some(index) => code = self.unused.remove(index).1,
                None if policy.withholds => {
                    self.withheld.extend(recipient);
                    return stopped("no-code-left");
                }
                None => *self.missing.entry(promo.to_vec()).or_default() += 1,
            }
        }
        self.sent.extend(recipient);
        if policy.ledger.is_some() {
            self.rows.push(row(true, &code));
        }
        ("member-click", code)
    }
}

/// A row of CSV with quotes where they are needed.
pub fn csv_row(fields: &[&[u8]]) -> Vec<u8> {
    let quoted = |field: &&[u8]| match field.iter().any(|byte| b",\"\n\r".contains(byte)) {
        true => [b"\"", &field.split(|&byte| byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..])[..], b"\""].concat(),
        false => field.to_vec(),
    };
    let mut row = fields.iter().map(quoted).collect::<Vec<_>>().join(&b',');
    row.push(b'\n');
    row
}

/// A ledger with these rows as a file.
pub fn ledger_bytes(rows: &[ModelRow]) -> Vec<u8> {
    let mut bytes = b"run,promo,email,outcome,code\n".to_vec();
    for ModelRow { run, promo, email, is_sent, code } in rows {
        let outcome = if *is_sent { "sent" } else { "held-out" };
        let escaped = promo.iter().flat_map(|&byte| match byte {
            b'\\' => br"\\".to_vec(),
            0..0x20 | 0x7f => format!("\\x{byte:02x}").into_bytes(),
            _ => vec![byte],
        });
        bytes.extend(csv_row(&[
            run.as_bytes(),
            &escaped.collect::<Vec<_>>(),
            email,
            outcome.as_bytes(),
            code.as_bytes(),
        ]));
    }
    bytes
}
