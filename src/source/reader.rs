//! The reader: a thread that turns the inputs, in their order, into one run of blocks.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::{io, panic, thread};

use super::csv::CsvCutter;
use super::cut::{Cut, ReaderSettings};
use super::cutter::Cutter;
use super::{Block, Input, InputFormat, InputLabel, SourceError};

/// How many blocks may wait between the reader and the engine.
const QUEUED_BLOCKS: usize = 2;

/// The blocks of all inputs, in input order. After an error nothing more comes, or nothing more of that input.
#[derive(Debug)]
pub struct Blocks {
    filled: Receiver<Result<Block, SourceError>>,
    empty: SyncSender<Vec<u8>>,
    reader: Option<thread::JoinHandle<()>>,
    longest_buffer: usize,
}

impl Blocks {
    /// Starts to read `inputs`.
    ///
    /// The thread ends when everything was read or when the `Blocks` are dropped. It may be waiting for a live pipe
    /// then, which is why nobody waits for the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn read(inputs: Vec<Input>, settings: ReaderSettings) -> io::Result<Self> {
        let longest_buffer = settings.block_bytes.saturating_mul(2);
        let (to_engine, filled) = sync_channel(QUEUED_BLOCKS);
        let (empty, from_engine) = sync_channel(QUEUED_BLOCKS + 2);
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read_all(inputs, settings, &to_engine, &from_engine))?;
        Ok(Self { filled, empty, reader: Some(reader), longest_buffer })
    }

    /// The next block, if one is there already. `None` says nothing about the end of the inputs.
    pub fn waiting(&mut self) -> Option<Result<Block, SourceError>> {
        self.filled.try_recv().ok()
    }

    /// Gives the buffer of a finished block back to the reader.
    pub fn recycle(&self, block: Block) {
        let buffer = block.into_buffer();
        if buffer.len() > self.longest_buffer {
            // It grew for one long record. Kept, it would make every block as long.
            return;
        }
        match self.empty.try_send(buffer) {
            // A full queue has spares enough, and a reader that has finished needs none.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(next) = self.filled.recv() {
            return Some(next);
        }
        // The reader is gone. If it died of a bug, that must not look like the end of the inputs.
        if let Some(Err(panic)) = self.reader.take().map(thread::JoinHandle::join) {
            panic::resume_unwind(panic);
        }
        None
    }
}

fn read_all(
    inputs: Vec<Input>,
    settings: ReaderSettings,
    to_engine: &SyncSender<Result<Block, SourceError>>,
    from_engine: &Receiver<Vec<u8>>,
) {
    let mut blocks = 0;
    for (index, input) in inputs.into_iter().enumerate() {
        let label = Arc::new(InputLabel { index, name: input.name.clone(), expected: input.expected });
        let format = input.format;
        let mut feed = match input.open() {
            Ok(feed) => feed,
            Err(error) => match to_engine.send(Err(error)) {
                Ok(()) if settings.reads_on_after_damage => continue,
                Ok(()) | Err(_) => return,
            },
        };
        let mut cutter: Box<dyn Cut> = match format {
            InputFormat::Csv => Box::new(CsvCutter::new(feed.as_mut(), settings, label)),
            _ => Box::new(Cutter::new(feed.as_mut(), format, settings, label)),
        };
        while let Some(next) = cutter.next_block(from_engine.try_recv().unwrap_or_default()) {
            let next = next.map(|mut block| {
                block.number = blocks;
                blocks += 1;
                block
            });
            let ends_all = next.is_err() && !settings.reads_on_after_damage;
            if to_engine.send(next).is_err() || ends_all {
                return;
            }
        }
    }
}
