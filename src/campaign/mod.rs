//! The campaign: members, decisions, the policy, and the saved list.
//!
//! This module does no I/O and starts no threads. [`transition`] is the only definition of the rule. [`CustomerTable`]
//! applies it to the customers of one partition. [`Policy`] stops some of the codes that the rule sends.

mod codes;
mod customers;
mod email_index;
mod gates;
mod holdout;
mod ledger;
mod ledger_groups;
mod ledger_row;
mod policy;
mod promos;
mod rule;
mod saved_list;
mod suppression;

pub use codes::{CodeError, CodePosition, Codes, MAX_CODE_BYTES};
pub use customers::{CustomerTable, Event, Membership, Step, Tracked};
#[cfg(feature = "cluster")]
pub use email_index::with_lower_case;
pub use email_index::{CustomerNumber, EmailHash, EmailHasher, EmailIndex, Partitioner};
pub use gates::{Claim, Click, PolicyState};
pub use holdout::Holdout;
pub use ledger::{Ledger, LedgerOutcome, LedgerRow, SentRowNumber};
pub use ledger_groups::{LedgerGroup, LedgerGroups};
pub use ledger_row::unescape_promo;
pub use policy::{Once, Policy, PolicyRules};
pub use rule::{Decision, Gate, Reason, ReasonCounts, transition};
#[cfg(test)]
pub use saved_list::tests;
pub use saved_list::{Member, SavedRows, members_in_order};
pub use suppression::{SuppressedEmails, SuppressionList, hex, suppression_key};
