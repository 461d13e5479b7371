//! Starting a run on several processes: the file of hosts, the processes of `--processes`, and what must be the same in
//! all processes.

use std::env::VarError;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{TcpListener, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::args::{FAILED, usage_error};
use super::policy_args::{PolicyArgs, open_ledger};
use super::run::RunArgs;
use crate::engine::Settings;
use crate::engine::cluster::{checksum, fingerprint};
use crate::escape;
use crate::input::{Input, InputPlan, Origin};

/// The environment variable with the secret of the run.
const TOKEN: &str = "ADSEG_CLUSTER_TOKEN";

/// The environment variable with the number of this process.
const PROCESS: &str = "ADSEG_PROCESS";

/// The maximum length of the secret, which a process sends first. No more than this is read before it is checked.
const MAX_TOKEN_BYTES: usize = 512;

/// The secret of the run; empty if there is none.
pub fn token() -> anyhow::Result<String> {
    let token = variable(TOKEN, "set it to letters and digits")?.unwrap_or_default();
    if token.len() > MAX_TOKEN_BYTES {
        return usage_error(format!("{TOKEN} has more than {MAX_TOKEN_BYTES} bytes; use a shorter one"));
    }
    Ok(token)
}

/// The number of this process in the environment, if it is set.
pub fn process_of_environment() -> anyhow::Result<Option<usize>> {
    const REMEDY: &str = "set it to the number of a process, counted from 0";
    let Some(text) = variable(PROCESS, REMEDY)? else { return Ok(None) };
    text.trim().parse().map_or_else(
        |_| usage_error(format!("{PROCESS} is {}, not a number; {REMEDY}", escape::text(&text))),
        |process| Ok(Some(process)),
    )
}

/// The value of an environment variable. One that is not UTF-8 must not count as one that is not set.
fn variable(name: &str, remedy: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => usage_error(format!("{name} is not valid UTF-8; {remedy}")),
    }
}

/// The addresses in a file of hosts. Blank lines and lines that begin with `#` are skipped.
pub fn read_hosts(path: &Path) -> anyhow::Result<Vec<String>> {
    let name = escape::path(path);
    let text = std::fs::read_to_string(path).with_context(|| format!("{name}: cannot read"))?;
    let mut addresses: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let port = line.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)) {
            bail!("{name}:{number}: expected HOST:PORT");
        }
        if addresses.iter().any(|address| address == line) {
            bail!("{name}:{number}: this address is named twice; give each process its own port");
        }
        addresses.push(line.to_owned());
    }
    if addresses.is_empty() {
        bail!("{name}: there is no host");
    }
    Ok(addresses)
}

/// How often a name that is not known is looked up again.
const RESOLVE_INTERVAL: Duration = Duration::from_millis(100);

/// Listens on an address. Its name may not be known yet, because the name of a new host is published while it starts.
pub fn listen(address: &str, timeout: Duration) -> io::Result<TcpListener> {
    let began = Instant::now();
    loop {
        match address.to_socket_addrs() {
            Ok(resolved) => return TcpListener::bind(&*resolved.collect::<Vec<_>>()),
            Err(error) if began.elapsed() >= timeout => return Err(error),
            Err(_) => thread::sleep(RESOLVE_INTERVAL),
        }
    }
}

/// What the first process of `--processes` passes to another one, in an environment variable.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChildRole {
    pub process: usize,
    /// One for each process. Only that of the first one is known.
    pub addresses: Vec<String>,
    pub token: String,
    pub threads: NonZeroUsize,
}

const CHILD: &str = "ADSEG_CLUSTER_CHILD";

impl ChildRole {
    /// The role of this process, if another one has started it.
    pub fn of_environment() -> anyhow::Result<Option<Self>> {
        let role = variable(CHILD, "unset it")?.map(|role| serde_json::from_str(&role)).transpose();
        role.with_context(|| format!("{CHILD} was not set by adseg; unset it"))
    }
}

/// Ends this process when its standard input ends: the first process, which has started it and holds the other end, has
/// ended then. Before the processes are connected, nothing else shows that.
///
/// # Errors
/// When the system cannot start a thread.
pub fn end_with_parent() -> io::Result<()> {
    let wait = || {
        // Nothing is ever sent.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(i32::from(FAILED));
    };
    thread::Builder::new().name("parent".to_owned()).spawn(wait).map(drop)
}

/// The processes that this process has started. Dropping it kills them.
pub struct Children {
    /// The secret of the run.
    pub token: String,
    children: Mutex<Vec<Child>>,
}

/// How long the other processes may take to end after the run.
const END_WAIT: Duration = Duration::from_secs(2);

impl Children {
    /// Starts a process for each address but the first, with the arguments of this process. `decisions` is the standard
    /// output of all of them.
    pub fn start(addresses: &[String], decisions: &File, threads: NonZeroUsize) -> anyhow::Result<Self> {
        let token = format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let children = Self { token: token.clone(), children: Mutex::default() };
        let program = std::env::current_exe().context("cannot find this program")?;
        for process in 1..addresses.len() {
            let role = ChildRole { process, addresses: addresses.to_vec(), token: token.clone(), threads };
            let child = Command::new(&program)
                .args(std::env::args_os().skip(1))
                .env(CHILD, serde_json::to_string(&role).expect("a role is plain data"))
                .stdin(Stdio::piped())
                .stdout(decisions.try_clone().context("cannot start a process")?)
                .spawn()
                .context("cannot start a process")?;
            children.lock().push(child);
        }
        Ok(children)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one of the processes has ended.
    pub fn has_failed(&self) -> bool {
        self.lock().iter_mut().any(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Waits until all processes have ended, but not for long.
    pub fn wait(&self) {
        let began = Instant::now();
        let mut children = self.lock();
        while began.elapsed() < END_WAIT && children.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.lock().iter_mut() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The plans of the inputs, which are regular files.
pub fn plans(inputs: &[Input], settings: &Settings) -> anyhow::Result<Arc<[InputPlan]>> {
    let plan = |(index, input): (usize, &Input)| {
        let Origin::Path(path) = &input.origin else { unreachable!("all inputs are regular files") };
        let plan = InputPlan::new(index, input, path.clone(), settings.reader);
        plan.with_context(|| format!("{}: cannot read", escape::path(path)))
    };
    inputs.iter().enumerate().map(plan).collect()
}

/// The number of bytes at each end of an input that are compared.
const COMPARED_BYTES: u64 = 64 << 10;

/// What must be the same in all processes, each with a description. The first difference is reported.
pub fn facts(
    args: &RunArgs,
    settings: &Settings,
    inputs: &[Input],
    plans: &[InputPlan],
) -> anyhow::Result<Vec<(String, String)>> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, value: String| facts.push((what.to_owned(), value));
    let given = |is_given: bool| if is_given { "given" } else { "not given" }.to_owned();
    add("the version of adseg", env!("CARGO_PKG_VERSION").to_owned());
    add("--threads", settings.threads.to_string());
    add("--output-format", format!("{:?}", args.output_format).to_lowercase());
    add("--send-only", given(args.send_only));
    add("--save-loyalty", given(args.save_loyalty.is_some()));
    add("--on-error", format!("{:?}", args.replay.bad_records.on_error).to_lowercase());
    add("--max-rejects", settings.max_rejects.to_string());
    add("--min-members", settings.min_members.to_string());
    add("--max-record-bytes", settings.reader.max_record_bytes.to_string());
    add("--block-bytes", settings.reader.block_bytes.to_string());
    add("--allow-disorder", given(settings.allows_disorder));
    add("the number of inputs", inputs.len().to_string());
    for (index, (input, plan)) in inputs.iter().zip(plans).enumerate() {
        let name = escape::path(&input.path);
        add(&format!("input {}", index + 1), name.clone());
        let options = format!("{:?} {:?}", input.source, input.options);
        add(&format!("how {name} is read (format, columns, types, times)"), short(options.as_bytes()));
        let Origin::Path(path) = &input.origin else { continue };
        let ends = || -> io::Result<(u64, String, String)> {
            let mut file = File::open(path)?;
            let (size, mut first, mut last) = (file.metadata()?.len(), Vec::new(), Vec::new());
            file.by_ref().take(COMPARED_BYTES).read_to_end(&mut first)?;
            file.seek(SeekFrom::Start(size.saturating_sub(COMPARED_BYTES)))?;
            file.take(COMPARED_BYTES).read_to_end(&mut last)?;
            Ok((size, short(&first), short(&last)))
        };
        let (size, first, last) = ends().with_context(|| format!("{name}: cannot read"))?;
        add(&format!("the size of {name}"), size.to_string());
        add(&format!("the checksum of the first bytes of {name}"), first);
        add(&format!("the checksum of the last bytes of {name}"), last);
        // It differs if the file grew before one of the processes read it.
        add(&format!("the division of {name}"), plan.division());
    }
    Ok(facts)
}

/// What must be the same of the policy. The content of a ledger is compared completely, because its rows are numbered. Must
/// be called before the ledger is loaded: then a process that loads it after another run has changed it is refused,
/// because the first process locks the ledger before it compares.
pub fn policy_facts(args: &RunArgs) -> anyhow::Result<Vec<(String, String)>> {
    let PolicyArgs { suppress, ledger, run_id, .. } = &args.policy;
    let rules = args.policy.rules(&args.inputs.policy);
    let not_given = || "not given".to_owned();
    let mut facts = vec![
        ("the policy (campaign file, --ignore-case)".to_owned(), short(format!("{rules:?}").as_bytes())),
        ("--run-id".to_owned(), run_id.as_deref().map_or_else(not_given, escape::text)),
        ("--ledger".to_owned(), ledger.as_deref().map_or_else(not_given, escape::path)),
        ("the number of suppression lists".to_owned(), suppress.len().to_string()),
    ];
    let content_of = |path: &Path| format!("the checksum of {}", escape::path(path));
    if let Some(path) = ledger {
        let sum = |file| checksum(file).with_context(|| format!("{}: cannot read", escape::path(path)));
        let sum = open_ledger(path)?.map(sum).transpose()?;
        facts.push((content_of(path), sum.unwrap_or_else(|| "that of no file".to_owned())));
    }
    for path in suppress {
        let sum = File::open(path).and_then(checksum);
        let sum = sum.with_context(|| format!("{}: cannot read", escape::path(path)))?;
        facts.push((content_of(path), sum));
    }
    Ok(facts)
}

fn short(bytes: &[u8]) -> String {
    format!("{:016x}", fingerprint(bytes))
}
