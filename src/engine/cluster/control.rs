//! The control connections between the first process and each other one: what ends a run, and how the loss of a process
//! is detected.
//!
//! The data of a run is on other connections, which belong to timely. A control connection carries signs of life, a
//! failure, and at the end the results and the commit. Its end means that the process is lost.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
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
    stream: Arc<Mutex<TcpStream>>,
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
        let link = Self { stream: Arc::new(Mutex::new(stream)), began: Instant::now(), heard: Arc::default() };
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
            let Ok((kind, body)) = read_frame(&mut stream) else { return };
            self.heard.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
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

    fn send_frame(&self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = [kind; 9];
        header[1..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        stream.write_all(&header)?;
        stream.write_all(body)
    }
}

/// The kind and the body of the next message. The memory grows with the bytes that arrive.
fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let len = u64::from_le_bytes(header[1..].try_into().expect("a length has 8 bytes"));
    let mut body = Vec::new();
    stream.take(len).read_to_end(&mut body)?;
    if body.len() as u64 == len { Ok((header[0], body)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
