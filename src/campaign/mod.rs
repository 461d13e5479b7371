//! The campaign: who is a member, and who gets a code.
//!
//! The domain and nothing else: no file, thread, argument or clock. [`decide`] is the only place where the rule lives;
//! [`LoyaltyCustomers`] is one partition's state, which takes events in and gives decisions out; [`Everyone`] is the like
//! for those who also need to know who is no member.

mod customers;
mod email_index;
mod everyone;
mod roster;
mod rows;
mod rule;

pub use customers::{Event, EventKind, Keep, LoyaltyCustomers};
pub(crate) use email_index::EmailIndex;
pub use everyone::{CustomerNumber, Everyone, Step};
pub use roster::members;
pub use rule::{Decision, decide};
