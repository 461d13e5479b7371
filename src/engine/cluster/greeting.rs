//! The greetings with which connections begin, and the replies. A process sends its token first. Only one that knows the
//! token may send more than that.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long a new connection may take for its greeting.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// What the first process decides for all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agreement {
    /// A random number that identifies the run.
    pub run: u64,
    /// The key of the hash that assigns emails to partitions.
    pub hash_seed: u64,
    /// The hash of a test vector under this key.
    pub test_hash: u64,
    pub addresses: Vec<String>,
}

/// The protocol and its version. It is the first thing in every message of a greeting.
pub const MAGIC: &[u8; 8] = b"adseg/1\n";

/// The first message on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub token: String,
    pub process: usize,
}

/// The second message, after the token was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// To join the run: the facts of the process, and the port on which it listens.
    Control { facts: Vec<(String, String)>, port: u16 },
    /// To send data in this run.
    Data { run: u64 },
}

/// The reply to either message.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// With the agreement if it is the reply to [`Purpose::Control`].
    Accepted(Option<Agreement>),
    Refused(String),
}

/// A connection of a process that knows the token.
#[derive(Debug)]
pub struct Greeting {
    pub process: usize,
    pub purpose: Purpose,
    pub stream: TcpStream,
}

/// The maximum length of a [`Hello`].
const MAX_HELLO_BYTES: u32 = 4 << 10;
/// The maximum length of another message: enough for the names of many thousand inputs.
const MAX_BYTES: u32 = 16 << 20;

/// Receives the greeting of a new connection. Returns a message if it is not one of this run.
pub fn receive_greeting(mut stream: TcpStream, token: &str, to_run: &Sender<Greeting>) -> Result<(), String> {
    let from = stream.peer_addr().map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string());
    let refused = |_| format!("refused a connection from {from}, which is not a process of this version of adseg");
    let until = Instant::now() + GREETING_TIMEOUT;
    let hello = stream
        .set_write_timeout(Some(GREETING_TIMEOUT))
        .and_then(|()| read_message::<Hello>(&stream, MAX_HELLO_BYTES, until))
        .map_err(refused)?;
    if hello.token != token {
        let reason = "the token differs; set ADSEG_CLUSTER_TOKEN to the same value on every machine";
        reply(&mut stream, &Reply::Refused(reason.to_owned()));
        return Err(format!("refused a connection from {from}, whose ADSEG_CLUSTER_TOKEN differs"));
    }
    reply(&mut stream, &Reply::Accepted(None));
    let purpose = read_message(&stream, MAX_BYTES, until).map_err(refused)?;
    let greeting = Greeting { process: hello.process, purpose, stream };
    if let Err(mut failed) = to_run.send(greeting) {
        reply(&mut failed.0.stream, &Reply::Refused("the run has begun".to_owned()));
    }
    Ok(())
}

/// Greets a process. Returns its reply, which must arrive before `until`.
pub fn greet(stream: &mut TcpStream, hello: &Hello, purpose: &Purpose, until: Instant) -> io::Result<Reply> {
    stream.set_write_timeout(Some(GREETING_TIMEOUT))?;
    write_message(stream, hello)?;
    match read_message(stream, MAX_BYTES, until)? {
        Reply::Accepted(_) => {
            write_message(stream, purpose)?;
            read_message(stream, MAX_BYTES, until)
        }
        refused @ Reply::Refused(_) => Ok(refused),
    }
}

/// Replies to a greeting. If the process has gone, its absence is noticed later.
pub fn reply(stream: &mut TcpStream, reply: &Reply) {
    let _ = write_message(stream, reply);
}

fn write_message(stream: &mut TcpStream, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message).expect("greetings are plain data");
    let len = u32::try_from(body.len()).ok().filter(|len| *len <= MAX_BYTES);
    let len = len.ok_or_else(|| io::Error::other("there are too many inputs"))?;
    stream.write_all(&[&MAGIC[..], &len.to_le_bytes(), &body].concat())
}

/// Reads a message. The protocol is checked first, and memory grows with the bytes that arrive.
fn read_message<T: for<'a> Deserialize<'a>>(stream: &TcpStream, max_bytes: u32, until: Instant) -> io::Result<T> {
    let invalid =
        || io::Error::new(io::ErrorKind::InvalidData, "it does not speak the protocol of this version of adseg");
    let mut stream = Timed { stream, until };
    let (mut magic, mut len) = ([0; MAGIC.len()], [0; 4]);
    stream.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(invalid());
    }
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len > max_bytes {
        return Err(invalid());
    }
    let mut body = Vec::new();
    stream.take(u64::from(len)).read_to_end(&mut body)?;
    if body.len() < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&body).map_err(|_| invalid())
}

/// A connection that is read until a deadline, however slowly its bytes arrive.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(rest))?;
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::channel;

    use super::*;

    /// What a listener with the token `right` says about a connection on which these bytes are sent.
    fn receive(bytes: &[u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(bytes).unwrap();
        let (to_run, _greetings) = channel();
        // The client stays connected, and sends nothing more.
        receive_greeting(listener.accept().unwrap().0, "right", &to_run)
    }

    fn message(body: &str, announced: usize) -> Vec<u8> {
        [&MAGIC[..], &(announced as u32).to_le_bytes(), body.as_bytes()].concat()
    }

    #[test]
    fn a_long_message_is_refused_before_the_token_is_known() {
        let began = Instant::now();
        assert!(receive(&message("{", MAX_HELLO_BYTES as usize + 1)).is_err());
        let wrong = "{\"token\":\"wrong\",\"process\":1}";
        assert!(receive(&message(wrong, wrong.len())).unwrap_err().contains("whose ADSEG_CLUSTER_TOKEN differs"));
        assert!(began.elapsed() < GREETING_TIMEOUT, "both are refused at once");
    }
}
