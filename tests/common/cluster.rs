//! Processes of a run on several machines, all of them on this one; and the comparison of several processes with one.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{CommandOutput, Scratch, assert_same};

/// Ports below those that the system chooses itself.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// The address of a free port.
pub fn free_address() -> String {
    loop {
        let offset = NEXT_PORT.fetch_add(1, Ordering::SeqCst);
        let port = 10_000 + (std::process::id() as u16 % 180) * 100 + offset % 1_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// The processes of a run with `--hosts`. Dropping it kills them.
pub struct Hosts {
    pub addresses: Vec<String>,
    pub processes: Vec<Option<Child>>,
}

impl Hosts {
    /// Writes `hosts.txt` for this number of processes, and starts none.
    pub fn new(scratch: &Scratch, count: usize) -> Self {
        let addresses: Vec<String> = (0..count).map(|_| free_address()).collect();
        scratch.write("hosts.txt", addresses.join("\n"));
        Self { addresses, processes: (0..count).map(|_| None).collect() }
    }

    /// Starts all processes with these arguments after `--hosts` and `--process`.
    pub fn start(scratch: &Scratch, count: usize, args: &str) -> Self {
        let mut hosts = Self::new(scratch, count);
        (0..count).for_each(|process| hosts.spawn(process, command(scratch, process, args)));
        hosts
    }

    pub fn spawn(&mut self, process: usize, mut command: Command) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.processes[process] = Some(command.spawn().unwrap());
    }

    /// Sends a signal, such as `-KILL`, to a process that was not waited for.
    pub fn signal(&self, process: usize, signal: &str) {
        let id = self.processes[process].as_ref().unwrap().id();
        assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
    }

    /// The output of a process, which must end within the limit.
    pub fn wait(&mut self, process: usize, limit: Duration) -> CommandOutput {
        let began = Instant::now();
        let mut child = self.processes[process].take().unwrap();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > limit {
                child.kill().unwrap();
                panic!("process {process} did not end within {limit:?}: {:?}", child.wait_with_output());
            }
            thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap().into()
    }

    /// The outputs of all processes that were started.
    pub fn wait_all(&mut self, limit: Duration) -> Vec<CommandOutput> {
        let began = Instant::now();
        let started: Vec<usize> = (0..self.processes.len()).filter(|index| self.processes[*index].is_some()).collect();
        started.into_iter().map(|process| self.wait(process, limit.saturating_sub(began.elapsed()))).collect()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The command of one process.
pub fn command(scratch: &Scratch, process: usize, args: &str) -> Command {
    scratch.piped(&format!("{args} --hosts hosts.txt --process {process}"))
}

/// Waits until the processes exchange data: their part files exist.
pub fn wait_for_parts(scratch: &Scratch, folder: &str, count: usize) {
    let began = Instant::now();
    while !scratch.file(folder).is_dir() || scratch.names_in(folder).len() < count {
        assert!(began.elapsed() < Duration::from_secs(20), "no parts appear");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Processes, workers of each, and the size of a block in bytes.
pub type Shape = (usize, usize, usize);

fn shape_args((processes, threads, block_bytes): Shape) -> String {
    format!("--processes {processes} --threads {threads} --block-bytes {block_bytes}")
}

/// What a run leaves behind.
#[derive(Debug, PartialEq)]
struct Run {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// All files below a folder.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// Runs `adseg` in a new folder with these files.
fn run(inputs: &BTreeMap<PathBuf, Vec<u8>>, args: &str) -> Run {
    let scratch = Scratch::new();
    for (name, content) in inputs {
        scratch.write(name.to_str().unwrap(), content);
    }
    let output = scratch.adseg(args).timeout(Duration::from_secs(60)).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { code: output.status.code(), stdout: output.stdout, stderr, files: files(scratch.path()) }
}

#[track_caller]
pub fn assert_agrees(inputs: &BTreeMap<PathBuf, Vec<u8>>, args: &str, shape: Shape, context: &str) {
    assert_all_agree(inputs, args, &[shape], context);
}

/// Several processes do not write the decisions before an error to standard output, because they merge at the end.
#[track_caller]
pub fn assert_all_agree(inputs: &BTreeMap<PathBuf, Vec<u8>>, args: &str, shapes: &[Shape], context: &str) {
    let mut alone = run(inputs, args);
    if alone.code != Some(0) {
        alone.stdout.clear();
    }
    for shape in shapes {
        let together = run(inputs, &format!("{args} {}", shape_args(*shape)));
        assert_same_run(&together, &alone, &format!("{context} {shape:?}"));
    }
}

#[track_caller]
fn assert_same_run(together: &Run, alone: &Run, context: &str) {
    let context = format!("{context}\n{}\n{}", alone.stderr, together.stderr);
    assert_eq!((together.code, &together.stderr), (alone.code, &alone.stderr), "{context}");
    assert_same(&together.stdout, &alone.stdout, &context);
    assert_eq!(together.files.keys().collect::<Vec<_>>(), alone.files.keys().collect::<Vec<_>>(), "{context}");
    for (name, content) in &alone.files {
        assert_same(&together.files[name], content, &format!("{}: {context}", name.display()));
    }
}
