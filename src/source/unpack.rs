//! Unpacking gzip and zstd on the fly, told by their magic bytes.
//!
//! A packed input is unpacked where it is read, so nothing behind this file knows of it. Archives of several members
//! are read to their end. A packed live pipe is as live as a plain one, as far as its writer flushes.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::feed::{Feed, Headed, Patience};
use super::framing::BYTE_ORDER_MARK;
use super::gzip::GzipDecoder;
use super::utf16::looks_like_utf16;

/// How many bytes tell whether an input is packed.
const MAGIC_BYTES: usize = 4;

/// How an input is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

/// What the first bytes of an input, up to four of them, say about it.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Plain,
    Packed(Packing),
    /// There may be a magic number in the making.
    TooShort,
}

const fn look_at(head: &[u8]) -> Head {
    match head {
        [0x1f, 0x8b, ..] => Head::Packed(Packing::Gzip),
        // A frame, or one that is to be skipped, with which parallel packers begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Head::Packed(Packing::Zstd),
        [] | [0x1f | 0x28 | 0x50..=0x5f] | [0x28, 0xb5] | [0x50..=0x5f, 0x2a] => Head::TooShort,
        [0x28, 0xb5, 0x2f] | [0x50..=0x5f, 0x2a, 0x4d] => Head::TooShort,
        _ => Head::Plain,
    }
}

/// Whether text that begins like this would be taken for something else, or lose its beginning, when it is read as text:
/// it looks like an archive, UTF-16, a byte-order mark, or the length of a frame. A byte-order mark before it helps.
pub fn looks_like_no_text(text: &[u8]) -> bool {
    looks_packed(text) || looks_like_utf16(text) || text.starts_with(BYTE_ORDER_MARK) || text.starts_with(b"\0")
}

/// Whether an input that begins like this is taken for an archive.
pub fn looks_packed(bytes: &[u8]) -> bool {
    matches!(look_at(bytes.get(..MAGIC_BYTES).unwrap_or(bytes)), Head::Packed(_))
}

/// How far back a zstd archive may refer, as a power of two: 128 MiB, as far as `zstd` itself goes unasked. So much is
/// what `zstd --long` and its highest levels need; the usual levels need at most 8 MiB, and no archive is given more
/// than it has brought data for.
const MAX_WINDOW_LOG: u32 = 27;

/// How many packed bytes are read at once.
const PACKED_BYTES: usize = 256 << 10;

/// `feed` as it is, or unpacked when it begins like an archive.
///
/// # Errors
/// When its first bytes cannot be read, or there is no memory for an unpacker.
pub(super) fn unpacked(feed: Box<dyn Feed>) -> io::Result<Box<dyn Feed>> {
    let whole = Headed::look(feed, |head| look_at(head) == Head::TooShort)?;
    let Head::Packed(packing) = look_at(whole.head()) else { return Ok(Box::new(whole)) };
    let waits = Arc::new(AtomicBool::new(true));
    let packed = BufReader::with_capacity(PACKED_BYTES, Gate { feed: whole, waits: Arc::clone(&waits) });
    Ok(match packing {
        Packing::Gzip => Box::new(Unpacker { decoder: GzipDecoder::new(packed), waits, format: "gzip" }),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(Unpacker { decoder, waits, format: "zstd" })
        }
    })
}

/// Lets a decoder, which knows nothing of patience, read from a feed with the patience of the moment.
struct Gate {
    feed: Headed,
    waits: Arc<AtomicBool>,
}

impl Read for Gate {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waits = self.waits.load(Ordering::Relaxed);
        self.feed.read(buffer, if waits { Patience::Wait } else { Patience::TakeWhatIsThere })
    }
}

/// A decoder as a feed. Both decoders can be asked again after their source had nothing.
struct Unpacker<D> {
    decoder: D,
    waits: Arc<AtomicBool>,
    format: &'static str,
}

impl<D: Read + Send> Feed for Unpacker<D> {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        self.waits.store(patience == Patience::Wait, Ordering::Relaxed);
        self.decoder.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                format!("the {} data ends early (bytes are counted unpacked; was it cut short?)", self.format),
            ),
            _ if error.to_string().contains("too much memory") => io::Error::new(
                error.kind(),
                "the zstd data needs a window of more than 128 MiB; unpack it first (zstd -d --long=31 does)",
            ),
            kind => io::Error::new(
                kind,
                format!("the {} data is damaged (bytes are counted unpacked): {error}", self.format),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).unwrap()
    }

    fn read_all(packed: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut feed = unpacked(Box::new(Cursor::new(packed))).unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match feed.read(&mut buffer, Patience::Wait).map_err(|error| error.to_string())? {
                0 => return Ok(all),
                count => all.extend(&buffer[..count]),
            }
        }
    }

    #[test]
    fn what_is_not_packed_passes_as_it_is() {
        for bytes in [&b""[..], b"\x1f", b"\x28\xb5\x2f", b"\x28\xb5 and more", b"plain", b"P", b"P*M", b"P*Mx"] {
            assert_eq!(read_all(bytes.to_vec()).unwrap(), bytes);
        }
    }

    #[test]
    fn archives_of_several_members_are_read_to_their_end() {
        assert_eq!(read_all([gzip(b"one "), gzip(b""), gzip(b"two")].concat()).unwrap(), b"one two");
        assert_eq!(read_all([zstd(b"one "), zstd(b""), zstd(b"two")].concat()).unwrap(), b"one two");
    }

    #[test]
    fn an_archive_that_begins_with_a_frame_to_be_skipped_is_an_archive() {
        let skipped = b"\x50\x2a\x4d\x18\x02\0\0\0xx".to_vec();
        assert_eq!(read_all([skipped, zstd(b"text")].concat()).unwrap(), b"text");
    }

    #[test]
    fn an_archive_cut_at_any_byte_is_told() {
        for whole in [gzip(b"some text, some text"), zstd(b"some text, some text")] {
            for len in 4..whole.len() {
                let told = read_all(whole[..len].to_vec()).unwrap_err();
                assert!(told.contains("data ends early"), "{len}: {told}");
            }
        }
    }

    #[test]
    fn zeros_behind_an_archive_are_no_part_of_it() {
        let zeros = vec![0; 2 * PACKED_BYTES];
        assert_eq!(read_all([gzip(b"one "), gzip(b"two"), zeros.clone()].concat()).unwrap(), b"one two");
        for rest in [&b"\0more"[..], b"more", &gzip(b"two")] {
            let padded = if rest == b"more" { Vec::new() } else { zeros.clone() };
            let told = read_all([&gzip(b"one"), &padded, rest].concat()).unwrap_err();
            assert!(told.starts_with("the gzip data "), "{told}");
        }
    }

    #[test]
    fn a_damaged_archive_is_told() {
        let mut damaged = gzip(b"some text, some text");
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert!(read_all(damaged).unwrap_err().starts_with("the gzip data is damaged"));
    }

    /// Hands over what was pushed, then has nothing.
    struct Live(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Feed for Live {
        fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
            let mut waiting = self.0.lock().unwrap();
            let count = waiting.len().min(buffer.len());
            if count == 0 {
                assert_eq!(patience, Patience::TakeWhatIsThere, "nobody waits here");
                return Err(io::ErrorKind::WouldBlock.into());
            }
            buffer[..count].copy_from_slice(&waiting[..count]);
            waiting.drain(..count);
            Ok(count)
        }
    }

    /// What a packer has put out once `text` is written to it and flushed.
    fn flushed<E: Write>(packer: &mut E, text: &[u8], out: fn(&mut E) -> &mut Vec<u8>) -> Vec<u8> {
        packer.write_all(text).unwrap();
        packer.flush().unwrap();
        std::mem::take(out(packer))
    }

    #[test]
    fn a_packed_pipe_gives_what_its_writer_flushed_without_waiting_for_more() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let [first, second] = [b"one", b"two"].map(|text| flushed(&mut gzip, text, GzEncoder::get_mut));
        let gzip = (first, second, gzip.finish().unwrap());
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let [first, second] =
            [b"one", b"two"].map(|text| flushed(&mut zstd, text, zstd::stream::write::Encoder::get_mut));
        let zstd = (first, second, zstd.finish().unwrap());
        for (first, second, end) in [gzip, zstd] {
            let pipe = Arc::new(std::sync::Mutex::new(first));
            let mut feed = unpacked(Box::new(Live(Arc::clone(&pipe)))).unwrap();
            let mut take = || {
                let mut buffer = [0; 64];
                let taken = feed.read(&mut buffer, Patience::TakeWhatIsThere);
                taken.map(|count| buffer[..count].to_vec()).map_err(|error| error.kind())
            };
            assert_eq!(take().unwrap(), b"one");
            assert_eq!(take().unwrap_err(), io::ErrorKind::WouldBlock);
            pipe.lock().unwrap().extend(second);
            assert_eq!(take().unwrap(), b"two");
            assert_eq!(take().unwrap_err(), io::ErrorKind::WouldBlock);
            pipe.lock().unwrap().extend(end);
            // The end of the archive is not yet the end of the pipe.
            assert_eq!(take().unwrap_err(), io::ErrorKind::WouldBlock);
        }
    }
}
