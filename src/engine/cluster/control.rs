//! The control connections between the first process and each other one: what ends a run, and how the loss of a process
//! is detected.
//!
//! The data of a run is on other connections, which belong to timely. A control connection carries signs of life, a
//! failure, and at the end the results and the commit. Its end means that the process is lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::event::{Control, Event};

/// What follows a length: JSON, or the exported state of a partition.
const JSON: u8 = 0;
const STATE: u8 = 1;

/// The interval of the signs of life. It is shorter than any time limit.
const ALIVE_INTERVAL: Duration = Duration::from_millis(250);

/// The time limit of a write to a process that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to another process.
#[derive(Debug, Clone)]
pub struct Link {
    /// `None` after the last message, and after a failure: a message may have been sent in part.
    stream: Arc<Mutex<Option<TcpStream>>>,
    began: Instant,
    /// When the process was last heard, in milliseconds after `began`.
    heard: Arc<AtomicU64>,
}

impl Link {
    /// Starts to receive from `process`, and to send it signs of life.
    ///
    /// # Errors
    /// When the connection cannot be used, or the system cannot start a thread.
    pub fn start(process: usize, stream: TcpStream, events: SyncSender<Event>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let receiver = stream.try_clone()?;
        let link = Self { stream: Arc::new(Mutex::new(Some(stream))), began: Instant::now(), heard: Arc::default() };
        let of_receiver = link.clone();
        let name = |what: &str| thread::Builder::new().name(format!("{what}-{process}"));
        name("control").spawn(move || {
            of_receiver.receive(process, receiver, &events);
            // The receiver of the events has ended if the run has.
            let _ = events.send(Event::Lost(process));
        })?;
        let alive = link.clone();
        name("alive").spawn(move || {
            while alive.send(&Control::Alive).is_ok() {
                thread::sleep(ALIVE_INTERVAL);
            }
        })?;
        Ok(link)
    }

    fn receive(&self, process: usize, mut stream: TcpStream, events: &SyncSender<Event>) {
        loop {
            let hear = || self.heard.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
            let Ok((kind, body)) = read_frame(&mut stream, hear) else { return };
            let event = if kind == STATE {
                Event::State(process, body)
            } else {
                match serde_json::from_slice(&body) {
                    Ok(Control::Alive) => continue,
                    Ok(message) => Event::Control(process, message),
                    Err(_) => return,
                }
            };
            if events.send(event).is_err() {
                return;
            }
        }
    }

    /// How long nothing was heard from the process.
    pub fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the process is lost or does not read.
    pub fn send(&self, message: &Control) -> io::Result<()> {
        let body = serde_json::to_vec(message).expect("control messages are plain data");
        self.send_frame(JSON, &body)
    }

    /// Sends the exported state of a partition.
    ///
    /// # Errors
    /// When the process is lost or does not read.
    pub fn send_state(&self, state: &[u8]) -> io::Result<()> {
        self.send_frame(STATE, state)
    }

    /// Sends a message, after which nothing is sent. The connection stays open for what the process sends.
    ///
    /// # Errors
    /// When the process is lost or does not read.
    pub fn send_last(&self, message: &Control) -> io::Result<()> {
        self.send(message)?;
        self.lock().take().map_or(Ok(()), |stream| stream.shutdown(Shutdown::Write))
    }

    fn send_frame(&self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut link = self.lock();
        let stream = link.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut header = [kind; 9];
        header[1..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        let sent = stream.write_all(&header).and_then(|()| stream.write_all(body));
        if sent.is_err() {
            // Both sides notice the end of the connection.
            let _ = stream.shutdown(Shutdown::Both);
            *link = None;
        }
        sent
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of bytes of a long message after which the process counts as heard.
const HEARD_BYTES: u64 = 64 << 10;

/// The kind and the body of the next message. Memory grows with the bytes that arrive. Calls `hear` for every part that
/// arrives.
fn read_frame(stream: &mut impl Read, hear: impl Fn()) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let len = u64::from_le_bytes(header[1..].try_into().expect("a length has 8 bytes"));
    let mut body = Vec::new();
    loop {
        hear();
        let rest = len - body.len() as u64;
        if rest == 0 {
            return Ok((header[0], body));
        }
        if stream.by_ref().take(rest.min(HEARD_BYTES)).read_to_end(&mut body)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_process_is_heard_while_a_long_message_arrives() {
        let body = vec![7; 1 << 20];
        let message = [&[STATE][..], &(body.len() as u64).to_le_bytes(), &body].concat();
        let heard = Cell::new(0);
        let hear = || heard.set(heard.get() + 1);
        assert_eq!(read_frame(&mut &*message, hear).unwrap(), (STATE, body));
        assert_eq!(heard.get(), 17);
        assert!(read_frame(&mut &message[..message.len() - 1], hear).is_err());
    }
}
