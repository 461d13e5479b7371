//! The outputs of a run.
//!
//! [`DecisionEncoder`] renders decisions. [`Writer`] writes them in input order on its own thread. [`Staging`] replaces
//! files completely or not at all, and locks the saved list. [`Rejects`] keeps the rejected records.

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
pub use staging::{StageError, Staging};
pub use writer::Writer;
