//! The policy of the campaign: its rules, the suppression list and the ledger. [`super::gates`] applies it to clicks.

use std::sync::Arc;

use super::email_index::EmailHasher;
use super::holdout::Holdout;
use super::ledger::Ledger;
use super::suppression::SuppressionList;

/// How often a customer is sent a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// Once for each promo.
    Promo,
    /// Once in total.
    Customer,
    /// At each eligible click.
    Never,
}

/// The rules of the policy, as the campaign file states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// The promos that get codes; `None` for all.
    pub promos: Option<Vec<String>>,
    /// `None` for the default: [`Once::Promo`] with a ledger, [`Once::Never`] without one.
    pub once: Option<Once>,
    /// Whether emails that differ only in ASCII case are one customer.
    pub ignores_case: bool,
    /// The control group.
    pub holdout: Option<Holdout>,
    /// Whether a click for which no code is left gets none, instead of ending the run with an error.
    pub withholds: bool,
}

/// The policy of one replay.
#[derive(Debug, Default)]
pub struct Policy {
    rules: PolicyRules,
    suppression: Option<Arc<SuppressionList>>,
    ledger: Option<Ledger>,
}

impl Policy {
    /// The policy with these rules and data. Several policies may share a suppression list.
    ///
    /// # Panics
    /// When the ledger was read for another `once`, or is not sealed.
    pub fn new(rules: PolicyRules, suppression: Option<Arc<SuppressionList>>, ledger: Option<Ledger>) -> Self {
        if let Some(ledger) = &ledger {
            assert_eq!(ledger.once(), rules.once(true), "the ledger was read for these rules");
            assert!(ledger.is_sealed(), "the ledger was read to its end");
        }
        Self { rules, suppression, ledger }
    }

    /// How often a customer is sent a code.
    pub fn once(&self) -> Once {
        self.rules.once(self.ledger.is_some())
    }

    /// Whether any gate may stop a click. If not, decisions are those of the rule alone.
    pub fn has_gates(&self) -> bool {
        let Self { rules, suppression, .. } = self;
        suppression.is_some() || rules.promos.is_some() || rules.holdout.is_some() || self.remembers_sends()
    }

    /// Whether emails that differ only in ASCII case are one customer.
    pub const fn ignores_case(&self) -> bool {
        self.rules.ignores_case
    }

    /// The promos that get codes; `None` for all.
    pub fn promos(&self) -> Option<&[String]> {
        self.rules.promos.as_deref()
    }

    /// The control group.
    pub const fn holdout(&self) -> Option<&Holdout> {
        self.rules.holdout.as_ref()
    }

    /// The suppression list.
    pub fn suppression(&self) -> Option<&SuppressionList> {
        self.suppression.as_deref()
    }

    /// The ledger.
    pub const fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Whether a click for which no code is left is only withheld.
    pub const fn withholds(&self) -> bool {
        self.rules.withholds
    }

    /// Whether the gates need the promo of a click.
    pub fn needs_promo(&self) -> bool {
        self.rules.promos.is_some() || self.once() == Once::Promo || self.ledger.is_some()
    }

    /// A hasher for the emails of events. Spellings that differ in case are in one partition if a gate treats them as
    /// one customer.
    pub fn event_hasher(&self) -> EmailHasher {
        EmailHasher::new(self.joins_spellings())
    }

    /// Whether the membership or a gate treats spellings of an email that differ only in ASCII case as one customer.
    pub fn joins_spellings(&self) -> bool {
        self.rules.ignores_case || self.remembers_sends()
    }

    /// Whether a gate depends on earlier sends.
    pub(super) fn remembers_sends(&self) -> bool {
        self.ledger.is_some() || self.once() != Once::Never
    }
}

impl Once {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Promo, Self::Customer, Self::Never];

    /// The name in the campaign file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promo => "promo",
            Self::Customer => "customer",
            Self::Never => "never",
        }
    }
}

impl PolicyRules {
    /// How often a customer is sent a code.
    pub fn once(&self, has_ledger: bool) -> Once {
        self.once.unwrap_or(if has_ledger { Once::Promo } else { Once::Never })
    }
}
