//! The reader thread: reads the inputs in order and emits blocks. The tests cover the block reader too.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{io, panic, thread};

use super::block_reader::BlockReader;
use super::{Block, Format, Input, InputError, InputLabel, ReaderSettings};
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
        // A longer buffer grew for one long record. If it were recycled, every block would be as long.
        if block.buffer.len() <= self.longest_buffer {
            // An error is ignored: a full queue has enough spare buffers, and a reader that has finished needs none.
            let _ = self.empty.try_send(block.buffer);
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

/// The format of an input. Only its start is read. `None` if it is empty.
///
/// # Errors
/// When the input cannot be read, or its start is invalid.
pub fn format_of(input: Input, settings: ReaderSettings) -> Result<Option<Format>, InputError> {
    let label = Arc::new(InputLabel { index: 0, path: Arc::clone(&input.path), source: input.source });
    let options = Arc::clone(&input.options);
    let mut source = input.open()?;
    BlockReader::new(source.as_mut(), options, settings, label).into_format()
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
        let options = Arc::clone(&input.options);
        let mut source = match input.open() {
            Ok(source) => source,
            Err(error) => match to_engine.send(Err(error)) {
                Ok(()) if settings.continues_after_damage => continue,
                Ok(()) | Err(_) => return,
            },
        };
        let mut reader = BlockReader::new(source.as_mut(), options, settings, label);
        while let Some(next) = reader.next_block(from_engine.try_recv().unwrap_or_default()) {
            let ends_all = next.is_err() && !settings.continues_after_damage;
            if to_engine.send(next).is_err() || ends_all {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::path::Path;

    use super::*;
    use crate::input::Content::{OversizedRest, OversizedStart, Records};
    use crate::input::{BYTE_ORDER_MARK, ByteSource, Content, InputFormat, Origin, ReadMode, ReadOptions};
    use crate::record::SourceKind;

    /// All blocks of an input, and the error if there is one.
    fn read_source(
        bytes: impl ByteSource + 'static,
        format: InputFormat,
        block_bytes: usize,
        max_record_bytes: usize,
    ) -> (Vec<Block>, Option<String>) {
        let options = Arc::new(ReadOptions::of_format(format));
        let (source, origin) = (SourceKind::Interleaved, Origin::Source(Box::new(bytes)));
        let (path, bytes_read) = (Path::new("in").into(), Arc::default());
        let input = Input { path, source, options, origin, bytes_read };
        let settings =
            ReaderSettings { block_bytes, max_record_bytes, continues_after_damage: true, ..ReaderSettings::default() };
        let (mut blocks, mut end) = (Vec::new(), None);
        for next in Blocks::read(vec![input], settings).unwrap() {
            assert_eq!(end, None, "no block follows an error");
            match next {
                Ok(block) => blocks.push(block),
                Err(error) => end = Some(error.to_string()),
            }
        }
        (blocks, end)
    }

    type Piece<'a> = (&'a [u8], Content);

    fn contents(blocks: &[Block]) -> Vec<Piece<'_>> {
        blocks.iter().map(|block| (block.bytes(), block.content)).collect()
    }

    #[test]
    fn blocks_are_complete_records_or_pieces_of_a_long_one() {
        let (start, rest, last) =
            (OversizedStart { last: false }, OversizedRest { last: false }, OversizedRest { last: true });
        let cases: [(&[u8], usize, usize, &[Piece<'_>]); 9] = [
            (b"", 64, 100, &[]),
            // A block ends at its last line feed.
            (b"a\nbb\nccc\ndd", 6, 100, &[(b"a\nbb\n", Records), (b"ccc\n", Records), (b"dd", Records)]),
            // The buffer grows for a longer record, up to the limit.
            (b"0123456789\nx\n", 4, 10, &[(b"0123456789\n", Records), (b"x\n", Records)]),
            (b"0123456789\nx\n", 4, 4, &[(b"01234", start), (b"5678", rest), (b"9\n", last), (b"x\n", Records)]),
            (
                b"\0\0\0\x01a\0\0\0\x09123456789\0\0\0\x01b",
                8,
                4,
                &[(b"\0\0\0\x01a", Records), (b"\0\0\0\x091234", start), (b"56789", last), (b"\0\0\0\x01b", Records)],
            ),
            // Only one byte-order mark is skipped, only at the start and only when it is complete.
            (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", 64, 100, &[(b"a\n\xef\xbb\xbfb", Records)]),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", 64, 100, &[(b"\xef\xbb\xbfa", Records)]),
            (b"\xef\xbb", 64, 100, &[(b"\xef\xbb", Records)]),
            (b"\xef\xbb\xbf", 64, 100, &[]),
        ];
        for (bytes, block_bytes, max_record_bytes, expected) in cases {
            let format = if bytes.starts_with(b"\0") { InputFormat::Framed } else { InputFormat::Text };
            let (blocks, end) = read_source(Cursor::new(bytes), format, block_bytes, max_record_bytes);

            assert_eq!((contents(&blocks), end), (expected.to_vec(), None));
            let mut offset = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            for block in blocks {
                assert_eq!(block.offset, offset as u64);
                offset += block.bytes().len();
            }
        }
    }

    #[test]
    fn an_announced_length_of_gigabytes_is_not_allocated() {
        let (blocks, end) = read_source(Cursor::new(b"\0\0\0\x01a\xff\xff\xff\xffxyz"), InputFormat::Auto, 64, 1 << 20);
        let oversized = (&b"\xff\xff\xff\xffxyz"[..], OversizedStart { last: false });
        assert_eq!(contents(&blocks), [(&b"\0\0\0\x01a"[..], Records), oversized]);
        assert!(blocks.iter().all(|block| block.buffer.len() <= 64));
        assert_eq!(
            end.unwrap(),
            "in: record 2 at byte 5: the input ends inside this frame, after 7 of its 4294967299 bytes (is the input truncated?)"
        );
    }

    #[test]
    fn frame_truncated_at_any_byte_is_reported_with_location() {
        let whole = b"\0\0\0\x01a\0\0\0\x03bcd";
        for len in 1..whole.len() {
            let (blocks, end) = read_source(Cursor::new(&whole[..len]), InputFormat::Auto, 64, 100);
            let (frames, byte) = if len < 5 { (0, 0) } else { (1, 5) };
            assert_eq!(blocks.len(), frames, "{len}");
            match end {
                None => assert_eq!(len, 5),
                Some(message) => {
                    assert!(message.starts_with(&format!("in: record {} at byte {byte}: ", frames + 1)), "{message}");
                }
            }
        }
    }

    /// Returns these pieces only to reads that wait, one at a time, then fails.
    struct Broken(Vec<&'static [u8]>);

    impl ByteSource for Broken {
        fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
            if mode == ReadMode::NoWait {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let piece = self.0.first_mut().ok_or_else(|| io::Error::other("unplugged"))?;
            let count = piece.read(buffer)?;
            if piece.is_empty() {
                self.0.remove(0);
            }
            Ok(count)
        }
    }

    #[test]
    fn complete_records_are_emitted_when_no_more_input_is_available() {
        let (blocks, end) = read_source(Broken(vec![b"a\n", b"b", b"\nc", b"d\nhalf"]), InputFormat::Auto, 64, 100);
        assert_eq!(contents(&blocks), [&b"a\n"[..], b"b\n", b"cd\n"].map(|bytes| (bytes, Records)));
        assert_eq!(end.unwrap(), "in: cannot read at byte 11: unplugged");
    }
}
