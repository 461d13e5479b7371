//! A run that a test exchanges data with while it runs.
//!
//! The run is killed when it takes too long, so its test fails instead of blocking, and when its test fails. Both
//! go through the owned [`Child`], which never signals a process id that the system may have reused.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Scratch, text};

const TIME_LIMIT: Duration = Duration::from_secs(60);

pub struct LiveRun {
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: ChildStderr,
    /// The time limit ends when this is dropped.
    _time_limit: Sender<()>,
}

impl LiveRun {
    pub fn start(scratch: &Scratch, args: &str) -> Self {
        Self::spawn(scratch.piped(args))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let stderr = child.stderr.take().unwrap();
        let child = Arc::new(Mutex::new(child));
        let _time_limit = kill_after(TIME_LIMIT, Arc::clone(&child));
        Self { child, stdin, stdout, stderr, _time_limit }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stdin.as_mut().unwrap().write_all(bytes.as_ref()).unwrap();
    }

    /// The next line of standard output.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// The standard output up to its end.
    pub fn read_to_end(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        rest
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends a signal, such as `-TERM`, to the run, which has not ended yet.
    pub fn signal(&self, signal: &str) {
        let mut child = lock(&self.child);
        assert_eq!(child.try_wait().unwrap(), None, "the run has ended already");
        // The child was not waited for, so the process id is still its own.
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Ends standard input; returns the exit code and standard error.
    pub fn finish(mut self) -> (Option<i32>, String) {
        self.close_stdin();
        self.wait()
    }

    /// Waits with standard input open; returns the exit code and standard error.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut stderr = Vec::new();
        self.stderr.read_to_end(&mut stderr).unwrap();
        loop {
            // Not `wait`, which would hold the lock that the time limit needs.
            if let Some(status) = lock(&self.child).try_wait().unwrap() {
                return (status.code(), text(stderr));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        // Both do nothing when the run has ended.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the child after the limit, unless the returned sender is dropped before.
fn kill_after(limit: Duration, child: Arc<Mutex<Child>>) -> Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    thread::spawn(move || {
        if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            let _ = lock(&child).kill();
        }
    });
    sender
}
