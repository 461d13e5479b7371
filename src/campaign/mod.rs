//! The campaign: who is a member, and who gets a code.
//!
//! The domain and nothing else: no files, threads, arguments or clocks. [`transition`] is the only place where the rule
//! is; [`CustomerTable`] applies it to the customers of one partition.

mod customers;
mod email_index;
mod rule;
mod saved_list;

pub use customers::{CustomerTable, Event, Membership, Step, Tracked};
pub use email_index::{CustomerNumber, EmailHash, EmailHasher};
pub use rule::{Decision, transition};
pub use saved_list::{SavedRows, members_in_order};
