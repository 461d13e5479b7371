//! One input: what the user named, what it holds, and how it is opened.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::feed::{Feed, FileFeed};
use super::unpack::unpacked;
use super::utf16::refuse_utf16;
use super::{InputFormat, SourceError};
use crate::record::Expected;
use crate::stdio::stdin_file;

/// An input that has not been opened yet. Inputs are opened one at a time, when their turn comes.
#[derive(Debug)]
pub struct Input {
    /// What messages call it.
    pub name: String,
    /// What its records are.
    pub expected: Expected,
    /// How its records are marked, as far as the user says.
    pub format: InputFormat,
    /// Where its bytes come from.
    pub origin: Origin,
    /// Counts the bytes that are read from a file, packed as they lie there, for whoever shows progress.
    pub meter: Arc<AtomicU64>,
}

/// Where the bytes of an input come from.
pub enum Origin {
    /// A file, a FIFO or a device.
    Path(PathBuf),
    /// The standard input.
    Stdin,
    /// Anything else that bytes can be read from.
    Feed(Box<dyn Feed>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => out.debug_tuple("Path").field(path).finish(),
            Self::Stdin => out.write_str("Stdin"),
            Self::Feed(_) => out.write_str("Feed(..)"),
        }
    }
}

impl Input {
    /// Opens the input, and unpacks it if it is packed.
    ///
    /// # Errors
    /// When the system does not let it be opened, or it is text that cannot be read here.
    pub(super) fn open(self) -> Result<Box<dyn Feed>, SourceError> {
        let boxed = |file| -> io::Result<Box<dyn Feed>> { Ok(Box::new(FileFeed::new(file, Arc::clone(&self.meter))?)) };
        let opened = match self.origin {
            Origin::Feed(feed) => Ok(feed),
            Origin::Path(path) => File::open(path).and_then(boxed),
            Origin::Stdin => stdin_file().and_then(boxed),
        };
        opened.and_then(unpacked).and_then(refuse_utf16).map_err(|cause| SourceError::Open { input: self.name, cause })
    }
}
