//! A thread that writes encoded buffers in the order in which they are sent.
//!
//! Every buffer is written immediately, so a live pipe needs no flush, and no write error is lost in a `Drop`. The
//! memory of the buffers does not depend on the reader of the output.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{panic, thread};

use crate::system::panic_point;

/// The maximum memory of the buffers that wait to be written, in bytes, unless one buffer alone is larger. It is also
/// the maximum memory of the spare buffers.
const MAX_BYTES: usize = 4 << 20;

/// The writer thread.
#[derive(Debug)]
pub struct Writer {
    to_write: Sender<Vec<u8>>,
    written: Receiver<Vec<u8>>,
    /// The memory of the buffers that wait to be written or to be received from `written`.
    waiting_bytes: usize,
    spare: Vec<Vec<u8>>,
    /// The memory of the spare buffers.
    spare_bytes: usize,
    /// `None` once it has ended.
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Writer {
    /// Starts a writer to `out`.
    pub fn start(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (to_write, filled) = channel();
        let (empty, written) = channel();
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || write_all(out, &filled, &empty))?;
        Ok(Self { to_write, written, waiting_bytes: 0, spare: Vec::new(), spare_bytes: 0, thread: Some(thread) })
    }

    /// An empty buffer to fill and write.
    pub fn buffer(&mut self) -> Vec<u8> {
        let buffer = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= buffer.capacity();
        buffer
    }

    /// Queues a buffer. Waits while too much memory is queued.
    pub fn write(&mut self, buffer: Vec<u8>) -> io::Result<()> {
        while let Ok(written) = self.written.try_recv() {
            self.receive(written);
        }
        if buffer.is_empty() {
            self.recycle(buffer);
            return Ok(());
        }
        let bytes = buffer.capacity();
        while self.waiting_bytes > 0 && self.waiting_bytes + bytes > MAX_BYTES {
            match self.written.recv() {
                Ok(written) => self.receive(written),
                Err(_) => return Err(self.failure()),
            }
        }
        self.waiting_bytes += bytes;
        self.to_write.send(buffer).map_err(|_| self.failure())
    }

    fn receive(&mut self, written: Vec<u8>) {
        self.waiting_bytes -= written.capacity();
        self.recycle(written);
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > 0 && self.spare_bytes + bytes <= MAX_BYTES {
            buffer.clear();
            self.spare_bytes += bytes;
            self.spare.push(buffer);
        }
    }

    /// The error that ended the thread.
    fn failure(&mut self) -> io::Error {
        let thread = self.thread.take().expect("a writer that failed is not used again");
        join(thread).expect_err("the thread ends early only when a write fails")
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The first write that failed, unless [`Self::write`] returned it.
    pub fn finish(self) -> io::Result<()> {
        drop(self.to_write);
        self.thread.map_or(Ok(()), join)
    }
}

fn join(thread: thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

fn write_all(mut out: Box<dyn Write + Send>, filled: &Receiver<Vec<u8>>, written: &Sender<Vec<u8>>) -> io::Result<()> {
    for buffer in filled {
        panic_point("write");
        out.write_all(&buffer)?;
        // A sender that has finished needs no buffers.
        let _ = written.send(buffer);
    }
    out.flush()
}
