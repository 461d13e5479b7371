//! The greetings with which connections begin, and the replies.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a new connection may be without a greeting.
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

/// The protocol and its version. It is the first thing on every connection.
pub const MAGIC: &[u8; 8] = b"adseg/1\n";

#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub token: String,
    pub process: usize,
    pub purpose: Purpose,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// To join the run: the facts of the process, and the port on which it listens.
    Control { facts: Vec<(String, String)>, port: u16 },
    /// To send data in this run.
    Data { run: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// With the agreement if the connection is a control connection.
    Accepted(Option<Agreement>),
    Refused(String),
}

/// The maximum length of a greeting: enough for the names of many thousand inputs.
pub const MAX_GREETING_BYTES: u32 = 16 << 20;
/// Receives the greeting of a new connection. Returns a message if it is not one of this run.
pub fn receive_greeting(mut stream: TcpStream, token: &str, to_run: &Sender<(Hello, TcpStream)>) -> Result<(), String> {
    let from = stream.peer_addr().map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string());
    let hello = stream
        .set_read_timeout(Some(GREETING_TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(GREETING_TIMEOUT)))
        .and_then(|()| read_greeting::<Hello>(&mut stream))
        .map_err(|_| format!("refused a connection from {from}, which is not a process of this version of adseg"))?;
    if hello.token != token {
        let reason = "the token differs; set ADSEG_CLUSTER_TOKEN to the same value on every machine";
        reply(&mut stream, &Reply::Refused(reason.to_owned()));
        return Err(format!("refused a connection from {from}, whose ADSEG_CLUSTER_TOKEN differs"));
    }
    if let Err(failed) = to_run.send((hello, stream)) {
        let (_, mut stream) = failed.0;
        reply(&mut stream, &Reply::Refused("the run has begun".to_owned()));
    }
    Ok(())
}

/// Replies to a greeting. If the process has gone, its absence is noticed later.
pub fn reply(stream: &mut TcpStream, reply: &Reply) {
    let _ = write_greeting(stream, reply);
}

pub fn write_greeting(stream: &mut TcpStream, greeting: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(greeting).expect("greetings are plain data");
    let len = u32::try_from(body.len()).ok().filter(|len| *len <= MAX_GREETING_BYTES);
    let len = len.ok_or_else(|| io::Error::other("there are too many inputs"))?;
    stream.write_all(&[&MAGIC[..], &len.to_le_bytes(), &body].concat())
}

/// Reads a greeting. The protocol is checked first, and memory grows with the bytes that arrive.
pub fn read_greeting<T: for<'a> Deserialize<'a>>(stream: &mut TcpStream) -> io::Result<T> {
    let invalid =
        || io::Error::new(io::ErrorKind::InvalidData, "it does not speak the protocol of this version of adseg");
    let (mut magic, mut len) = ([0; MAGIC.len()], [0; 4]);
    stream.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(invalid());
    }
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len > MAX_GREETING_BYTES {
        return Err(invalid());
    }
    let mut body = Vec::new();
    stream.take(u64::from(len)).read_to_end(&mut body)?;
    serde_json::from_slice(&body).map_err(|_| invalid())
}
