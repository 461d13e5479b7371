//! What a run writes, and how it gets to its place.
//!
//! [`DecisionEncoder`] renders decisions, [`Writer`] writes them on a thread of its own in input order, [`Staging`]
//! replaces files whole or not at all and lets one run at a time save to a list, [`Rejects`] keeps the rejected
//! records.

mod encoder;
mod list_lock;
mod rejects;
mod saved_list;
mod staged_file;
mod staging;
mod writer;

pub use encoder::{DecisionEncoder, OutputFormat};
pub use rejects::{ErrorLine, Rejection, Rejects, can_contain_rejects, earlier_rejects};
pub use saved_list::write_saved_list;
pub use staged_file::CommitOrder;
pub use staging::{CommitError, StageError, Staging};
pub use writer::Writer;
