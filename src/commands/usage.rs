//! Arguments that clap takes and that make no sense together.

use thiserror::Error;

/// What the user has to change in the command. Ends with the exit code for wrong usage.
#[derive(Debug, Error)]
#[error("{0}\n\nFor more information, try '--help'.")]
pub struct UsageError(pub String);

/// A usage error, as the `Err` of a check.
pub fn wrong<T>(what: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(what.into()).into())
}
