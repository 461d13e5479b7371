//! A thread that writes encoded buffers in the order in which they are sent.
//!
//! Every buffer is written immediately, so a live pipe needs no flush, and no write error is lost in a `Drop`.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{panic, thread};

use crate::system::panic_point;

/// The writer thread.
#[derive(Debug)]
pub struct Writer {
    filled: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    /// `None` once it has ended.
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Writer {
    /// Starts a writer to `out` with a queue of at most `queue` buffers.
    pub fn start(out: Box<dyn Write + Send>, queue: usize) -> io::Result<Self> {
        let (filled, to_write) = sync_channel(queue);
        let (to_recycle, empty) = sync_channel(queue.saturating_add(1));
        let thread =
            thread::Builder::new().name("writer".to_owned()).spawn(move || write_all(out, &to_write, &to_recycle))?;
        Ok(Self { filled, empty, thread: Some(thread) })
    }

    /// Queues a buffer, waits while the queue is full, and returns an empty buffer.
    pub fn write(&mut self, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.filled.send(buffer).is_err() {
            let thread = self.thread.take().expect("a writer that failed is not used again");
            return Err(join(thread).expect_err("the thread ends early only when a write fails"));
        }
        // There may be no written buffer yet.
        Ok(self.empty.try_recv().unwrap_or_default())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The first write that failed, unless [`Self::write`] returned it.
    pub fn finish(self) -> io::Result<()> {
        drop(self.filled);
        self.thread.map_or(Ok(()), join)
    }
}

fn join(thread: thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

fn write_all(
    mut out: Box<dyn Write + Send>,
    to_write: &Receiver<Vec<u8>>,
    to_recycle: &SyncSender<Vec<u8>>,
) -> io::Result<()> {
    for mut buffer in to_write {
        panic_point("write");
        out.write_all(&buffer)?;
        buffer.clear();
        // A full queue has enough spare buffers, and a sender that has finished needs none.
        let _ = to_recycle.try_send(buffer);
    }
    out.flush()
}
