//! The writer: a thread that writes encoded buffers in the order in which they come.
//!
//! Every buffer is written at once and nothing is held back, so a live pipe is answered without a flush, and an error
//! is never left for a `Drop` to swallow.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::{panic, thread};

/// The writer has stopped; [`Writer::finish`] says why.
#[derive(Debug)]
pub struct Closed;

/// A thread that writes.
#[derive(Debug)]
pub struct Writer {
    filled: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Writer {
    /// Starts a writer to `out` before which at most `queue` buffers wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(out: Box<dyn Write + Send>, queue: usize) -> io::Result<Self> {
        let (filled, from_engine) = sync_channel(queue);
        let (to_engine, empty) = sync_channel(queue.saturating_add(1));
        let thread =
            thread::Builder::new().name("writer".to_owned()).spawn(move || write_all(out, &from_engine, &to_engine))?;
        Ok(Self { filled, empty, thread })
    }

    /// Writes a buffer once the ones before it are written, and gives an empty one for it.
    ///
    /// # Errors
    /// When the writer has stopped because a write failed.
    pub fn write(&mut self, buffer: Vec<u8>) -> Result<Vec<u8>, Closed> {
        self.filled.send(buffer).map_err(|_| Closed)?;
        Ok(self.empty.try_recv().unwrap_or_default())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// What the first failed write failed of.
    pub fn finish(self) -> io::Result<()> {
        drop(self.filled);
        self.thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

fn write_all(
    mut out: Box<dyn Write + Send>,
    from_engine: &Receiver<Vec<u8>>,
    to_engine: &SyncSender<Vec<u8>>,
) -> io::Result<()> {
    for mut buffer in from_engine {
        out.write_all(&buffer)?;
        buffer.clear();
        match to_engine.try_send(buffer) {
            // A full queue has spares enough, and an engine that has finished needs none.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
    out.flush()
}
