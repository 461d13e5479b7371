//! The reader thread: reads the inputs in order and emits blocks.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::{io, panic, thread};

use super::block_reader::BlockReader;
use super::{Block, Input, InputError, InputLabel, ReaderSettings};
use crate::system::panic_point;

/// The maximum number of blocks that wait between the reader and the engine.
const QUEUED_BLOCKS: usize = 2;

/// The blocks of all inputs, in input order. After an error no more blocks of that input follow, and no other blocks
/// unless the settings say to continue.
#[derive(Debug)]
pub struct Blocks {
    filled: Receiver<Result<Block, InputError>>,
    empty: SyncSender<Vec<u8>>,
    reader: Option<thread::JoinHandle<()>>,
    longest_buffer: usize,
}

impl Blocks {
    /// Starts to read `inputs`.
    ///
    /// The thread ends at the end of the inputs or when the `Blocks` are dropped. Dropping does not wait for the
    /// thread, which may be blocked on a live pipe.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn read(inputs: Vec<Input>, settings: ReaderSettings) -> io::Result<Self> {
        let longest_buffer = settings.block_bytes.saturating_mul(2);
        let (to_engine, filled) = sync_channel(QUEUED_BLOCKS);
        let (empty, from_engine) = sync_channel(QUEUED_BLOCKS + 2);
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read_all(inputs, settings, &to_engine, &from_engine))?;
        Ok(Self { filled, empty, reader: Some(reader), longest_buffer })
    }

    /// The next block if one is ready. `None` does not mean the end of the inputs.
    pub fn try_next(&mut self) -> Option<Result<Block, InputError>> {
        self.filled.try_recv().ok()
    }

    /// Returns the buffer of a finished block to the reader.
    pub fn recycle(&self, block: Block) {
        let buffer = block.into_buffer();
        if buffer.len() > self.longest_buffer {
            // The buffer grew for one long record. If it were recycled, every block would be as long.
            return;
        }
        match self.empty.try_send(buffer) {
            // A full queue has enough spare buffers, and a reader that has finished needs none.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(next) = self.filled.recv() {
            return Some(next);
        }
        // The reader has ended. A panic must not look like the end of the inputs.
        if let Some(Err(panic)) = self.reader.take().map(thread::JoinHandle::join) {
            panic::resume_unwind(panic);
        }
        None
    }
}

fn read_all(
    inputs: Vec<Input>,
    settings: ReaderSettings,
    to_engine: &SyncSender<Result<Block, InputError>>,
    from_engine: &Receiver<Vec<u8>>,
) {
    for (index, input) in inputs.into_iter().enumerate() {
        panic_point("read");
        let label = Arc::new(InputLabel { index, path: Arc::clone(&input.path), source: input.source });
        let format = input.format;
        let mut source = match input.open() {
            Ok(source) => source,
            Err(error) => match to_engine.send(Err(error)) {
                Ok(()) if settings.continues_after_damage => continue,
                Ok(()) | Err(_) => return,
            },
        };
        let mut reader = BlockReader::new(source.as_mut(), format, settings, label);
        while let Some(next) = reader.next_block(from_engine.try_recv().unwrap_or_default()) {
            let ends_all = next.is_err() && !settings.continues_after_damage;
            if to_engine.send(next).is_err() || ends_all {
                return;
            }
        }
    }
}
