//! Interrupts: doing work that a signal can end at any moment.
//!
//! The work runs on a thread of its own and the caller waits for whichever comes first, its end or a signal. So neither
//! a read nor a write that waits for somebody else can keep an interrupt from being answered, and cleaning up stays
//! with the caller, on the main thread.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Sender, channel};
use std::{io, thread};

/// What the caller waits for.
enum Event<T> {
    Done(Result<T, Box<dyn Any + Send>>),
    #[cfg_attr(not(unix), expect(dead_code, reason = "elsewhere a signal ends the process itself"))]
    Interrupted,
}

/// Does `work`; gives `None` when a signal came before its end. The work is left behind then, wherever it is.
///
/// # Errors
/// When the system gives no thread or lets no signal be caught.
///
/// # Panics
/// When the work does.
pub fn interruptible<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Option<T>> {
    let (events, next_event) = channel();
    catch_signals(events.clone())?;
    thread::Builder::new().name("run".to_owned()).spawn(move || {
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        // Nobody listens any more when a signal came first.
        let _ = events.send(Event::Done(done));
    })?;
    match next_event.recv() {
        Ok(Event::Done(Ok(result))) => Ok(Some(result)),
        Ok(Event::Done(Err(panic))) => panic::resume_unwind(panic),
        Ok(Event::Interrupted) | Err(_) => Ok(None),
    }
}

#[cfg(unix)]
fn catch_signals<T: Send + 'static>(events: Sender<Event<T>>) -> io::Result<()> {
    use std::sync::Arc;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    // Beyond a limit on file sizes, a write shall fail like any other write instead of ending the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            // Nobody listens any more when the work was done first.
            let _ = events.send(Event::Interrupted);
        }
    })?;
    Ok(())
}

/// Without signals to catch, the system's own handling ends the process; a file beside its final place may stay.
#[cfg(not(unix))]
fn catch_signals<T: Send + 'static>(_events: Sender<Event<T>>) -> io::Result<()> {
    Ok(())
}

/// The signals that whoever started this process wanted it not to notice, as `nohup` does, one bit each from the
/// lowest. Where the system does not tell, none.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
