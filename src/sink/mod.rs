//! The sink: where bytes go.
//!
//! [`Writer`] writes what the engine encoded, on a thread of its own and in order. [`Staging`] puts files in place
//! whole or not at all. [`Rejects`] keeps bad records.

mod rejects;
mod rejects_folder;
mod staging;
mod writer;

pub use rejects::{ErrorLine, Rejection, Rejects};
pub use rejects_folder::{earlier_rejects, may_hold_rejects};
pub use staging::{Rank, StageError, Staging};
pub use writer::{Closed, Writer};
