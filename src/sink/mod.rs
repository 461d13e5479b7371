//! The sink: where bytes go.
//!
//! [`Writer`] writes what the engine encoded, on a thread of its own and in order. [`Staging`] puts files in place
//! whole or not at all, and lets one run at a time replace a list. [`Rejects`] keeps bad records.

mod claim;
mod durable;
mod rejects;
mod rejects_folder;
mod staging;
mod writer;

pub use claim::Taken;
pub use rejects::{ErrorLine, Rejection, Rejects};
pub use rejects_folder::{earlier_rejects, may_hold_rejects};
pub use staging::{Misplaced, Rank, StageError, Staging};
pub use writer::{Closed, Writer};
