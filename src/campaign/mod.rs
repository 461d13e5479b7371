//! The campaign: members, decisions, and the saved list.
//!
//! This module does no I/O and starts no threads. [`transition`] is the only definition of the rule. [`CustomerTable`]
//! applies it to the customers of one partition.

mod customers;
mod email_index;
mod rule;
mod saved_list;

pub use customers::{CustomerTable, Event, Membership, Step, Tracked};
pub use email_index::{CustomerNumber, EmailHash, EmailHasher};
pub use rule::{Decision, transition};
#[cfg(test)]
pub use saved_list::tests;
pub use saved_list::{Member, SavedRows, members_in_order};
