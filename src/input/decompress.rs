//! Opens an input, and decompresses gzip and zstd while reading. No other module knows whether an input is compressed.
//!
//! All parts of a compressed file are read. Records on a compressed live pipe are decided as soon as its writer flushes
//! them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::GzDecoder;

use super::InputFormat;
use super::detect::other_type;
use super::format::{Compression, compression};
use super::source::{ByteSource, FileSource, Input, InputError, Origin, PeekedSource, ReadMode};
use crate::system::stdin_file;

/// The maximum window of a zstd file, as a power of two: 128 MiB, the default limit of `zstd` itself. `zstd --long` and
/// the highest levels use that much; other levels use at most 8 MiB.
const MAX_WINDOW_LOG: u32 = 27;

/// The size of a read of compressed bytes.
const COMPRESSED_BYTES: usize = 256 << 10;

impl Input {
    /// Opens the input, and decompresses it if it is compressed.
    pub(super) fn open(self) -> Result<Box<dyn ByteSource>, InputError> {
        let boxed =
            |file| -> io::Result<Box<dyn ByteSource>> { Ok(Box::new(FileSource::new(file, self.bytes_read.clone())?)) };
        // These formats are read as they are, without guards.
        let is_literal = matches!(self.options.format, InputFormat::Text | InputFormat::Framed);
        let opened = match self.origin {
            Origin::Source(source) => Ok(source),
            Origin::Path(path) => File::open(path).and_then(boxed),
            Origin::Stdin => stdin_file().and_then(boxed),
        };
        opened
            .and_then(decompressed)
            .and_then(|source| if is_literal { Ok(source) } else { reject_other_types(source) })
            .map_err(|cause| InputError::Open { input: self.path, cause })
    }
}

/// `source`, decompressed if it begins like a compressed file.
///
/// # Errors
/// When its first bytes cannot be read, or there is no memory for a decompressor.
fn decompressed(source: Box<dyn ByteSource>) -> io::Result<Box<dyn ByteSource>> {
    let source = PeekedSource::peek(source, |head| compression(head).is_none())?;
    let waits = Arc::new(AtomicBool::new(true));
    let buffered =
        |source| BufReader::with_capacity(COMPRESSED_BYTES, BlockingReader { source, waits: Arc::clone(&waits) });
    Ok(match compression(source.head()) {
        None | Some(Compression::Uncompressed) => Box::new(source),
        Some(Compression::Gzip) => {
            let decoder = Some(GzDecoder::new(buffered(source)));
            let decoder = GzipParts { decoder, state: GzipState::InPart };
            Box::new(Decompressor { decoder, waits, format: "gzip" })
        }
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(source))?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(Decompressor { decoder, waits, format: "zstd" })
        }
    })
}

/// `source`, unless it is a type of file that is not read. Read as text, every record of it would be bad, for a
/// misleading reason.
///
/// # Errors
/// When it is such a file, or its first bytes cannot be read.
fn reject_other_types(source: Box<dyn ByteSource>) -> io::Result<Box<dyn ByteSource>> {
    let source = PeekedSource::peek(source, |head| other_type(head).is_err())?;
    match other_type(source.head()) {
        Ok(Some(what)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("this is {what}"))),
        Ok(None) | Err(()) => Ok(Box::new(source)),
    }
}

/// A [`Read`] for a decoder, which does not support read modes. It reads from the source in the current mode.
struct BlockingReader {
    source: PeekedSource,
    waits: Arc<AtomicBool>,
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waits = self.waits.load(Ordering::Relaxed);
        self.source.read(buffer, if waits { ReadMode::Wait } else { ReadMode::NoWait })
    }
}

type Compressed = BufReader<BlockingReader>;

/// A decoder as a source. Both decoders can be read again after [`io::ErrorKind::WouldBlock`].
struct Decompressor<D> {
    decoder: D,
    waits: Arc<AtomicBool>,
    format: &'static str,
}

impl<D: Read + Send> ByteSource for Decompressor<D> {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        self.waits.store(mode == ReadMode::Wait, Ordering::Relaxed);
        self.decoder.read(buffer).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return error,
                // The read failed, not the decoder.
                _ if error.raw_os_error().is_some() => return error,
                io::ErrorKind::UnexpectedEof => {
                    format!("the {} data ends early (bytes are counted decompressed; is it truncated?)", self.format)
                }
                _ if error.to_string().contains("too much memory") => {
                    "the zstd data needs a window of more than 128 MiB; decompress it first (zstd -d --long=31)".into()
                }
                _ => format!("the {} data is damaged (bytes are counted decompressed): {error}", self.format),
            };
            io::Error::new(error.kind(), reason)
        })
    }
}

/// Decompresses all parts of a gzip file. It can be read again after [`io::ErrorKind::WouldBlock`].
///
/// Tapes and block devices pad a file with zeros, which are ignored, as `gzip` does. Any other data after a part must
/// be another part.
struct GzipParts {
    /// `None` only while the next part begins.
    decoder: Option<GzDecoder<Compressed>>,
    state: GzipState,
}

enum GzipState {
    InPart,
    AfterPart,
    InPadding,
}

impl Read for GzipParts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let decoder = self.decoder.as_mut().expect("the next part has begun");
            self.state = match self.state {
                GzipState::InPart => match decoder.read(buffer)? {
                    0 => GzipState::AfterPart,
                    count => return Ok(count),
                },
                GzipState::AfterPart => match decoder.get_mut().fill_buf()?.first() {
                    None => return Ok(0),
                    Some(0) => GzipState::InPadding,
                    Some(_) => {
                        self.decoder = self.decoder.take().map(|ended| GzDecoder::new(ended.into_inner()));
                        GzipState::InPart
                    }
                },
                GzipState::InPadding => return skip_zeros(decoder.get_mut()),
            };
        }
    }
}

fn skip_zeros(compressed: &mut impl BufRead) -> io::Result<usize> {
    loop {
        let zeros = compressed.fill_buf()?;
        let len = zeros.len();
        if len == 0 {
            return Ok(0);
        }
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there is data after the zeros at the end"));
        }
        compressed.consume(len);
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

    fn read_all(compressed: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut source = decompressed(Box::new(Cursor::new(compressed))).unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match source.read(&mut buffer, ReadMode::Wait).map_err(|error| error.to_string())? {
                0 => return Ok(all),
                count => all.extend(&buffer[..count]),
            }
        }
    }

    #[test]
    fn plain_input_is_not_changed() {
        for bytes in [&b""[..], b"\x1f", b"\x28\xb5\x2f", b"\x28\xb5 and more", b"plain", b"P", b"P*M", b"P*Mx"] {
            assert_eq!(read_all(bytes.to_vec()).unwrap(), bytes);
        }
    }

    #[test]
    fn all_parts_of_a_compressed_file_are_read() {
        assert_eq!(read_all([gzip(b"one "), gzip(b""), gzip(b"two")].concat()).unwrap(), b"one two");
        assert_eq!(read_all([zstd(b"one "), zstd(b""), zstd(b"two")].concat()).unwrap(), b"one two");
        // Parallel compressors begin with a skippable frame.
        let skipped = b"\x50\x2a\x4d\x18\x02\0\0\0xx".to_vec();
        assert_eq!(read_all([skipped, zstd(b"text")].concat()).unwrap(), b"text");
    }

    #[test]
    fn compressed_file_truncated_at_any_byte_is_an_error() {
        for whole in [gzip(b"some text, some text"), zstd(b"some text, some text")] {
            for len in 4..whole.len() {
                let message = read_all(whole[..len].to_vec()).unwrap_err();
                assert!(message.contains("data ends early"), "{len}: {message}");
            }
        }
    }

    #[test]
    fn zeros_after_a_gzip_file_are_ignored() {
        let zeros = vec![0; 2 * COMPRESSED_BYTES];
        assert_eq!(read_all([gzip(b"one "), gzip(b"two"), zeros.clone()].concat()).unwrap(), b"one two");
        for rest in [&b"\0more"[..], b"more", &gzip(b"two")] {
            let padded = if rest == b"more" { Vec::new() } else { zeros.clone() };
            let message = read_all([&gzip(b"one"), &padded, rest].concat()).unwrap_err();
            assert!(message.starts_with("the gzip data "), "{message}");
        }
    }

    #[test]
    fn damaged_compressed_file_is_an_error() {
        let mut damaged = gzip(b"some text, some text");
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert!(read_all(damaged).unwrap_err().starts_with("the gzip data is damaged"));
    }

    /// A pipe that contains only the bytes that were pushed.
    struct Live(Arc<std::sync::Mutex<Vec<u8>>>);

    impl ByteSource for Live {
        fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
            let mut waiting = self.0.lock().unwrap();
            let count = waiting.len().min(buffer.len());
            if count == 0 {
                assert_eq!(mode, ReadMode::NoWait, "this test must not wait");
                return Err(io::ErrorKind::WouldBlock.into());
            }
            buffer[..count].copy_from_slice(&waiting[..count]);
            waiting.drain(..count);
            Ok(count)
        }
    }

    /// The output of a compressor once `text` was written to it and flushed.
    fn flushed<E: Write>(compressor: &mut E, text: &[u8], out: fn(&mut E) -> &mut Vec<u8>) -> Vec<u8> {
        compressor.write_all(text).unwrap();
        compressor.flush().unwrap();
        std::mem::take(out(compressor))
    }

    #[test]
    fn flushed_data_on_a_compressed_pipe_is_read() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let [first, second] = [b"one", b"two"].map(|text| flushed(&mut gzip, text, GzEncoder::get_mut));
        let gzip = (first, second, gzip.finish().unwrap());
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let [first, second] =
            [b"one", b"two"].map(|text| flushed(&mut zstd, text, zstd::stream::write::Encoder::get_mut));
        let zstd = (first, second, zstd.finish().unwrap());
        for (first, second, end) in [gzip, zstd] {
            let pipe = Arc::new(std::sync::Mutex::new(first));
            let mut source = decompressed(Box::new(Live(Arc::clone(&pipe)))).unwrap();
            let mut read = || {
                let mut buffer = [0; 64];
                let readn = source.read(&mut buffer, ReadMode::NoWait);
                readn.map(|count| buffer[..count].to_vec()).map_err(|error| error.kind())
            };
            assert_eq!(read().unwrap(), b"one");
            assert_eq!(read().unwrap_err(), io::ErrorKind::WouldBlock);
            pipe.lock().unwrap().extend(second);
            assert_eq!(read().unwrap(), b"two");
            assert_eq!(read().unwrap_err(), io::ErrorKind::WouldBlock);
            pipe.lock().unwrap().extend(end);
            // The end of the compressed data is not yet the end of the pipe.
            assert_eq!(read().unwrap_err(), io::ErrorKind::WouldBlock);
        }
    }
}
