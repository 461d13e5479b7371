//! Connecting the processes of a run, and checking that they belong to it.
//!
//! Every process listens on its address. Each other process connects to the first one and sends its facts: version,
//! options, inputs. If all agree, each process connects to those before it, and the sockets are handed to timely. A
//! connection that does not begin with the protocol and the token of the run is refused, and the run goes on.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rapidhash::v3::RapidSecrets;

use super::ClusterError;
use super::greeting::{Agreement, GREETING_TIMEOUT, Greeting, Hello, Purpose, Reply, greet, receive_greeting, reply};
use super::part::portable_hash;
use crate::system::os_error;

/// A process of a run, before it is connected.
pub struct Membership {
    /// The number of this process.
    pub process: usize,
    /// The address of each process as `host:port`. Those of other processes may be unknown, except the first one.
    pub addresses: Vec<String>,
    /// The socket of this process.
    pub listener: TcpListener,
    /// The secret of the run; may be empty.
    pub token: String,
    /// What must be the same in all processes: a description and a value each.
    pub facts: Vec<(String, String)>,
    /// How long to wait for the other processes.
    pub timeout: Duration,
    /// Prints a message about a connection that was refused.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether a process that must connect has ended.
    pub has_failed: Box<dyn Fn() -> bool>,
}

/// The connections of a process.
pub struct Connections {
    /// To the first process from the others, and the other way round.
    pub control: Vec<Option<TcpStream>>,
    /// For timely: one to each other process.
    pub data: Vec<Option<TcpStream>>,
    pub agreement: Agreement,
}

const TEST_VECTOR: &[u8] = b"playfulwally@fakeemail.com";

/// The number of connections that may be greeting at the same time. Others wait.
const MAX_GREETING: usize = 64;
const RETRY_INTERVAL: Duration = Duration::from_millis(30);
/// How long a first process that fails waits for processes to send them the reason.
const REFUSAL_TIME: Duration = Duration::from_millis(500);
/// The number of refused connections that are printed.
const PRINTED_REFUSALS: usize = 5;

impl Membership {
    /// The name of a process in messages.
    pub fn name(&self, process: usize) -> String {
        process_name(process, &self.addresses)
    }

    /// Connects all processes.
    ///
    /// # Errors
    /// When a process does not come in time, or differs in a fact.
    pub fn connect(self) -> Result<Connections, ClusterError> {
        let deadline = Instant::now() + self.timeout;
        let greetings = self.listen().map_err(|error| ClusterError::Network(os_error(&error)))?;
        let (control, agreement) =
            if self.process == 0 { self.gather(&greetings, deadline)? } else { self.join(deadline)? };
        if portable_hash(&RapidSecrets::seed(agreement.hash_seed), TEST_VECTOR) != agreement.test_hash {
            let first = self.name(0);
            return Err(ClusterError::Network(format!(
                "the hash function of this machine differs from that of {first}"
            )));
        }
        let deadline = Instant::now() + self.timeout;
        let mut data: Vec<Option<TcpStream>> = self.addresses.iter().map(|_| None).collect();
        for (process, address) in agreement.addresses.iter().enumerate().take(self.process) {
            let mut stream = self.open(process, address, deadline)?;
            let purpose = Purpose::Data { run: agreement.run };
            self.greet(process, &mut stream, &purpose, deadline)?;
            data[process] = Some(stream);
        }
        while let Some(missing) = (self.process + 1..data.len()).find(|process| data[*process].is_none()) {
            let Greeting { process, purpose, mut stream } = self.next_greeting(&greetings, deadline, missing)?;
            let is_expected = process > self.process && data.get(process).is_some_and(Option::is_none);
            let Purpose::Data { run } = purpose else {
                reply(&mut stream, &Reply::Refused("the run has begun".to_owned()));
                continue;
            };
            if is_expected && run == agreement.run {
                reply(&mut stream, &Reply::Accepted(None));
                data[process] = Some(stream);
            } else {
                reply(&mut stream, &Reply::Refused("this is another run".to_owned()));
            }
        }
        for stream in data.iter().flatten() {
            let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(None));
            set.map_err(|error| ClusterError::Network(os_error(&error)))?;
        }
        Ok(Connections { control, data, agreement })
    }

    /// The first process: waits for all others. If it fails, it sends the reason to those that have come or come soon.
    fn gather(
        &self,
        greetings: &Receiver<Greeting>,
        deadline: Instant,
    ) -> Result<(Vec<Option<TcpStream>>, Agreement), ClusterError> {
        let mut control: Vec<Option<TcpStream>> = self.addresses.iter().map(|_| None).collect();
        let gathered = self.gather_into(&mut control, greetings, deadline);
        let Err(error) = &gathered else { return gathered.map(|agreement| (control, agreement)) };
        let refusal = Reply::Refused(error.to_string());
        control.iter_mut().flatten().for_each(|stream| reply(stream, &refusal));
        let until = Instant::now() + REFUSAL_TIME;
        while let Ok(mut greeting) = greetings.recv_timeout(until.saturating_duration_since(Instant::now())) {
            reply(&mut greeting.stream, &refusal);
        }
        gathered.map(|agreement| (control, agreement))
    }

    fn gather_into(
        &self,
        control: &mut [Option<TcpStream>],
        greetings: &Receiver<Greeting>,
        deadline: Instant,
    ) -> Result<Agreement, ClusterError> {
        let mut addresses = self.addresses.clone();
        while let Some(missing) = (1..control.len()).find(|process| control[*process].is_none()) {
            let Greeting { process, purpose, mut stream } = self.next_greeting(greetings, deadline, missing)?;
            let refusal = match &purpose {
                Purpose::Data { .. } => Some("the run has not begun".to_owned()),
                Purpose::Control { .. } if process == 0 || process >= control.len() => {
                    Some(format!("the numbers of the other processes are 1 to {}", control.len() - 1))
                }
                Purpose::Control { .. } if control[process].is_some() => {
                    Some(format!("process {process} has joined already"))
                }
                Purpose::Control { .. } => None,
            };
            let (None, Purpose::Control { facts, port }) = (&refusal, purpose) else {
                reply(&mut stream, &Reply::Refused(refusal.unwrap_or_default()));
                continue;
            };
            if let Some((what, theirs, ours)) = difference(&facts, &self.facts) {
                let (name, first) = (self.name(process), self.name(0));
                let there = format!("this process and {first} differ: {what} is {theirs} here and {ours} there");
                reply(&mut stream, &Reply::Refused(there));
                let reason = format!("{name} and {first} differ: {what} is {theirs} there and {ours} here");
                return Err(ClusterError::Network(reason));
            }
            if let (Ok(peer), true) = (stream.peer_addr(), addresses[process].ends_with(":0")) {
                addresses[process] = SocketAddr::new(peer.ip(), port).to_string();
            }
            control[process] = Some(stream);
        }
        let [run, hash_seed] = [(); 2].map(|()| RandomState::new().hash_one(0));
        let test_hash = portable_hash(&RapidSecrets::seed(hash_seed), TEST_VECTOR);
        let agreement = Agreement { run, hash_seed, test_hash, addresses };
        for stream in control.iter_mut().flatten() {
            reply(stream, &Reply::Accepted(Some(agreement.clone())));
        }
        Ok(agreement)
    }

    /// Another process: joins the run at the first process.
    fn join(&self, deadline: Instant) -> Result<(Vec<Option<TcpStream>>, Agreement), ClusterError> {
        let mut stream = self.open(0, &self.addresses[0], deadline)?;
        let port = self.listener.local_addr().map_or(0, |address| address.port());
        let purpose = Purpose::Control { facts: self.facts.clone(), port };
        let agreement = self.greet(0, &mut stream, &purpose, deadline)?;
        let agreement = agreement.ok_or_else(|| ClusterError::Network("process 0 sent no agreement".to_owned()))?;
        let mut control: Vec<Option<TcpStream>> = self.addresses.iter().map(|_| None).collect();
        control[0] = Some(stream);
        Ok((control, agreement))
    }

    /// Opens a connection to a process, which may not listen yet.
    fn open(&self, process: usize, address: &str, deadline: Instant) -> Result<TcpStream, ClusterError> {
        loop {
            // A name may have several addresses, and the process may listen on any of them.
            let opened = address.to_socket_addrs().and_then(|addresses| {
                let mut opened = Err(io::Error::other("the host has no address"));
                for address in addresses {
                    opened = opened.or_else(|_| TcpStream::connect_timeout(&address, GREETING_TIMEOUT));
                }
                opened
            });
            match opened {
                Ok(stream) => return Ok(stream),
                Err(error) if Instant::now() >= deadline => {
                    let (name, seconds) = (self.name(process), self.timeout.as_secs());
                    let error = os_error(&error);
                    return Err(ClusterError::Network(format!("cannot connect to {name} within {seconds} s: {error}")));
                }
                Err(_) => thread::sleep(RETRY_INTERVAL),
            }
        }
    }

    fn greet(
        &self,
        process: usize,
        stream: &mut TcpStream,
        purpose: &Purpose,
        deadline: Instant,
    ) -> Result<Option<Agreement>, ClusterError> {
        let hello = Hello { token: self.token.clone(), process: self.process };
        // The first process answers when all have come.
        let replied = greet(stream, &hello, purpose, deadline.max(Instant::now()) + GREETING_TIMEOUT);
        let name = self.name(process);
        match replied {
            Ok(Reply::Accepted(agreement)) => Ok(agreement),
            Ok(Reply::Refused(reason)) => Err(ClusterError::Refused { name, reason }),
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
                    _ => os_error(&error),
                };
                Err(ClusterError::Network(format!("{name} does not answer: {reason}")))
            }
        }
    }

    /// The next valid greeting.
    fn next_greeting(
        &self,
        greetings: &Receiver<Greeting>,
        deadline: Instant,
        missing: usize,
    ) -> Result<Greeting, ClusterError> {
        while Instant::now() < deadline {
            match greetings.recv_timeout(RETRY_INTERVAL) {
                Ok(greeting) => return Ok(greeting),
                Err(RecvTimeoutError::Timeout) if (self.has_failed)() => {
                    return Err(ClusterError::Network("a process ended before it had connected".to_owned()));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        let (name, seconds) = (self.name(missing), self.timeout.as_secs());
        Err(ClusterError::Network(format!("{name} did not connect within {seconds} s")))
    }

    /// Accepts connections until the process ends. Each has its own thread while it is greeting, so one that
    /// sends nothing does not delay the others.
    fn listen(&self) -> io::Result<Receiver<Greeting>> {
        let (to_run, greetings) = channel();
        let listener = self.listener.try_clone()?;
        let (token, warn) = (self.token.clone(), Arc::clone(&self.warn));
        // Each thread of a greeting has a clone of the first one, so its count is the number of these threads.
        let (greeting, refused) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
        let accept = move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    thread::sleep(RETRY_INTERVAL);
                    continue;
                };
                while Arc::strong_count(&greeting) > MAX_GREETING {
                    thread::sleep(RETRY_INTERVAL);
                }
                let (token, warn, to_run) = (token.clone(), Arc::clone(&warn), to_run.clone());
                let (of_greeting, refused) = (Arc::clone(&greeting), Arc::clone(&refused));
                let receive = move || {
                    if let Err(refusal) = receive_greeting(stream, &token, &to_run)
                        && refused.fetch_add(1, Ordering::SeqCst) < PRINTED_REFUSALS
                    {
                        warn(&refusal);
                    }
                    drop(of_greeting);
                };
                drop(thread::Builder::new().name("greeting".to_owned()).spawn(receive));
            }
        };
        thread::Builder::new().name("accept".to_owned()).spawn(accept)?;
        Ok(greetings)
    }
}

/// The name of a process in messages. The address is omitted if it is not known.
pub fn process_name(process: usize, addresses: &[String]) -> String {
    match addresses.get(process).filter(|address| !address.ends_with(":0") && !address.is_empty()) {
        Some(address) => format!("process {process} ({address})"),
        None => format!("process {process}"),
    }
}

/// The first fact that differs: what it is, their value and our value.
fn difference(theirs: &[(String, String)], ours: &[(String, String)]) -> Option<(String, String, String)> {
    let value =
        |facts: &[(String, String)], at: usize| facts.get(at).map_or("absent".to_owned(), |fact| fact.1.clone());
    (0..theirs.len().max(ours.len())).find(|&at| theirs.get(at) != ours.get(at)).map(|at| {
        let what = ours.get(at).or(theirs.get(at)).expect("one of them has the fact").0.clone();
        let theirs =
            if theirs.get(at).is_some_and(|fact| fact.0 != what) { "absent".to_owned() } else { value(theirs, at) };
        (what, theirs, value(ours, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let facts = |values: &[(&str, &str)]| -> Vec<(String, String)> {
            values.iter().map(|(what, value)| ((*what).to_owned(), (*value).to_owned())).collect()
        };
        let ours = facts(&[("version", "1"), ("--threads", "2"), ("size of a.txt", "7")]);
        let named = |theirs: &[(&str, &str)]| difference(&facts(theirs), &ours);
        let difference =
            |what: &str, theirs: &str, ours: &str| Some((what.to_owned(), theirs.to_owned(), ours.to_owned()));
        assert_eq!(named(&[("version", "1"), ("--threads", "2"), ("size of a.txt", "7")]), None);
        assert_eq!(named(&[("version", "1"), ("--threads", "4")]), difference("--threads", "4", "2"));
        assert_eq!(named(&[("version", "1"), ("--threads", "2")]), difference("size of a.txt", "absent", "7"));
    }

    #[test]
    fn the_portable_hash_does_not_change() {
        // Another value would assign emails to other partitions than the rest of the cluster does.
        let hash = |seed| portable_hash(&RapidSecrets::seed(seed), TEST_VECTOR);
        assert_eq!([hash(0), hash(1)], [1_720_857_369_915_632_683, 736_799_026_138_150_689]);
    }
}
