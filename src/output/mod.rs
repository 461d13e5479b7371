//! The outputs of a run.
//!
//! [`DecisionEncoder`] renders decisions, and [`Writer`] writes them in input order on its own thread.
//! [`ListFormat`] writes the list. [`Staging`] replaces files completely or not at all, and locks the saved list.
//! [`Rejects`] keeps the bad records.

mod commit;
mod decided_row;
mod encoder;
mod list;
mod lock;
mod rejects;
mod staged_file;
mod staging;
mod writer;

pub use encoder::{DecidedConversion, DecisionEncoder, OutputFormat};
pub use list::{ListFormat, SaveFormat};
pub use rejects::{ErrorLine, Rejection, Rejects, can_contain_rejects, earlier_rejects};
pub use staged_file::{CommitOrder, is_temporary};
pub use staging::{StageError, Staging};
pub use writer::Writer;
