//! Why a run on several processes fails, and which panics are only the loss of another process.

use std::any::Any;
use std::io;
use std::panic;
use std::time::Duration;

use thiserror::Error;

use crate::engine::ReplayError;
use crate::system::os_error;

/// Why a run on several processes fails.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The replay fails as on one machine.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An input is damaged.
    #[error("{0}")]
    Damage(String),
    /// A part file cannot be written.
    #[error("cannot write a part of the decisions: {}", os_error(.0))]
    Part(io::Error),
    /// The processes cannot be connected, or do not belong together.
    #[error("{0}")]
    Network(String),
    /// Another process refused this one.
    #[error("{name} refused this process: {reason}")]
    Refused {
        /// The other process.
        name: String,
        /// Why.
        reason: String,
    },
    /// Another process failed. This process only follows.
    #[error("{name} ended the run: {message}")]
    Peer {
        /// The number of the other process.
        process: usize,
        /// The other process.
        name: String,
        /// Its message.
        message: String,
    },
    /// A process does not answer for too long.
    #[error("{name} did not answer for {} s (--stall-timeout)", .limit.as_secs())]
    Silent {
        /// The other process.
        name: String,
        /// How long.
        limit: Duration,
    },
    /// No block was completed for too long.
    #[error("no block was completed for {} s (--stall-timeout); a read or a write may be blocked", .limit.as_secs())]
    Stalled {
        /// How long.
        limit: Duration,
    },
}

/// Whether a worker panicked only because a connection of timely was lost.
pub(super) fn is_lost_peer(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.starts_with("timely communication error:") || text.starts_with("MergeQueue poisoned"))
}

/// Keeps the panics of timely about a lost process from being printed. The control connections say what happened.
pub(super) fn silence_lost_peers() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_lost_peer(panic.payload()) {
            print(panic);
        }
    }));
}
