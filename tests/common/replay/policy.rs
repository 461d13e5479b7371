//! A run of the crate with a policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use adseg::{
    Codes, DecisionEncoder, Holdout, Ledger, LedgerGroups, LoadSuppression, Once, OutputFormat, Policy, PolicyRules,
    Reason, ReasonCounts, Sends, SourceKind, SuppressionList, read_ledger, replay,
};

use super::{ReadSchedule, RecordingObserver, RunSettings, SharedBuffer, engine_inputs, run_engine_with};
use crate::common::model::policy::{DecisionFormat, ModelOnce, ModelPolicy, ledger_bytes};
use crate::common::model::{ModelFormat, ModelInput, ModelSource, RunResult};

/// The numbers of decisions by reason, without zeros, and of unused codes by promo.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    pub reasons: BTreeMap<&'static str, u64>,
    pub codes_left: BTreeMap<Option<String>, u64>,
}

impl PolicyCounts {
    pub(super) fn of(reasons: ReasonCounts, codes: Option<&Codes>) -> Self {
        let reasons = Reason::ALL.map(|reason| (reason.name(), reasons.get(reason)));
        let left = codes.map(Codes::left).unwrap_or_default();
        let text = |promo: &[u8]| String::from_utf8(promo.to_vec()).unwrap();
        Self {
            reasons: reasons.into_iter().filter(|(_, count)| *count > 0).collect(),
            codes_left: left.into_iter().map(|(promo, left)| (promo.map(text), left)).collect(),
        }
    }
}

/// Everything that a run with a policy produces.
#[derive(Debug)]
pub struct PolicyResult {
    pub result: RunResult,
    pub counts: PolicyCounts,
    /// The new rows of the ledger.
    pub rows: Vec<u8>,
}

fn policy_rules(model: &ModelPolicy) -> PolicyRules {
    let once = |once| match once {
        ModelOnce::Promo => Once::Promo,
        ModelOnce::Customer => Once::Customer,
        ModelOnce::Never => Once::Never,
    };
    PolicyRules {
        promos: model.promos.clone(),
        once: model.once.map(once),
        ignores_case: model.ignores_case,
        holdout: model.holdout.as_ref().map(|(percent, key)| Holdout::new(percent, key).unwrap()),
        withholds: model.withholds,
    }
}

fn suppression_list(model: &ModelPolicy, settings: &RunSettings, schedule: &ReadSchedule) -> Option<SuppressionList> {
    model.suppressed.as_ref().map(|lines| {
        // The model of an input has no suppression lists, so the source is set afterwards.
        let input = ModelInput::new(ModelSource::Loyalty, ModelFormat::Text, lines.join("\n"));
        let mut sources = engine_inputs(&[input], schedule);
        sources[0].source = SourceKind::Suppression;
        let mut observer = RecordingObserver::default();
        let outcome = replay(&LoadSuppression, &settings.for_engine(), sources, None, &mut observer).unwrap();
        SuppressionList::new(outcome.partitioner.expect("one process has all partitions"), outcome.states)
    })
}

/// The policy of `adseg report`, which hands out no codes.
pub fn report_policy(model: &ModelPolicy, settings: &RunSettings) -> Policy {
    let rules = policy_rules(model);
    let ledger = model.ledger.as_deref().map(|rows| {
        let ledger = Ledger::new(Some(model.run_id.as_bytes()), rules.once(true));
        let mut ledger = ledger.with_groups(LedgerGroups::new(rules.promos.clone()));
        read_ledger(&*ledger_bytes(rows), Path::new("ledger"), &mut ledger, None).unwrap();
        ledger
    });
    Policy::new(rules, suppression_list(model, settings, &ReadSchedule::whole()).map(Arc::new), ledger)
}

/// `adseg run` on these inputs with this policy. `ledger` is the content of the ledger file.
pub fn run_engine_with_policy(
    inputs: &[ModelInput],
    model: &ModelPolicy,
    ledger: Option<&[u8]>,
    settings: &RunSettings,
    schedule: &ReadSchedule,
) -> PolicyResult {
    let rules = policy_rules(model);
    let suppression = suppression_list(model, settings, schedule);
    let mut codes = model.codes.as_ref().map(|all| {
        let mut codes = Codes::with_capacity(0, 0);
        for (promo, code) in all {
            codes.add(promo.as_ref().map(String::as_bytes), code.as_bytes()).unwrap();
        }
        codes
    });
    let run_id = model.run_id.as_bytes();
    let ledger = ledger.map(|bytes| {
        let mut ledger = Ledger::new(Some(run_id), rules.once(true));
        read_ledger(bytes, Path::new("ledger"), &mut ledger, codes.as_mut()).unwrap();
        ledger
    });
    codes.iter_mut().for_each(Codes::seal);
    let policy = Policy::new(rules, suppression.map(Arc::new), ledger);
    let rows = SharedBuffer::default();
    let sends = policy.ledger().map(|_| Sends::new(&policy, codes, Box::new(rows.clone())));
    let format = match model.format {
        DecisionFormat::Text => OutputFormat::Text,
        DecisionFormat::Csv => OutputFormat::Csv,
        DecisionFormat::JsonLines => OutputFormat::Jsonl,
    };
    let (send_only, with_policy) = (model.send_only, policy.has_gates());
    let encoder = DecisionEncoder { format, send_only, with_times: false, with_policy };
    let (result, counts) = run_engine_with(inputs, settings, schedule, &policy, encoder, sends);
    let rows = rows.0.lock().unwrap().clone();
    PolicyResult { result, counts, rows }
}

/// Whether a ledger has a header row; `None` if it is invalid.
pub fn ledger_has_header(bytes: &[u8]) -> Option<bool> {
    let mut ledger = Ledger::new(Some(b"now"), Once::Promo);
    read_ledger(bytes, Path::new("ledger"), &mut ledger, None).ok()
}
