//! Tests of the block reader.

use std::io::{Cursor, Read};

use super::*;
use crate::record::SourceKind;

/// All blocks of `bytes`, and the error if there is one.
fn read(bytes: &[u8], block_bytes: usize, max_record_bytes: usize) -> (Vec<Block>, Option<String>) {
    read_source(&mut Cursor::new(bytes.to_vec()), block_bytes, max_record_bytes)
}

fn read_source(
    source: &mut dyn ByteSource,
    block_bytes: usize,
    max_record_bytes: usize,
) -> (Vec<Block>, Option<String>) {
    let settings = ReaderSettings { block_bytes, max_record_bytes, ..ReaderSettings::default() };
    let label =
        Arc::new(InputLabel { index: 0, path: std::path::Path::new("in").into(), source: SourceKind::Interleaved });
    let mut reader = BlockReader::new(source, InputFormat::Auto, settings, label);
    let mut blocks = Vec::new();
    while let Some(next) = reader.next_block(Vec::new()) {
        match next {
            Ok(block) => blocks.push(block),
            Err(error) => {
                assert!(reader.next_block(Vec::new()).is_none(), "no block follows an error");
                return (blocks, Some(error.to_string()));
            }
        }
    }
    (blocks, None)
}

fn texts(blocks: &[Block]) -> Vec<&[u8]> {
    blocks.iter().map(Block::bytes).collect()
}

#[test]
fn a_block_ends_at_its_last_line_feed() {
    let (blocks, end) = read(b"a\nbb\nccc\ndd", 6, 100);
    assert_eq!(texts(&blocks), [&b"a\nbb\n"[..], b"ccc\n", b"dd"]);
    assert_eq!(blocks.iter().map(|block| block.offset).collect::<Vec<_>>(), [0, 5, 9]);
    assert_eq!(end, None);
}

#[test]
fn a_buffer_grows_for_a_longer_record_up_to_the_limit() {
    let (blocks, _) = read(b"0123456789\nx\n", 4, 10);
    assert_eq!(texts(&blocks), [&b"0123456789\n"[..], b"x\n"]);
    assert!(blocks.iter().all(|block| block.content == Content::Records));
}

#[test]
fn a_line_beyond_the_limit_is_emitted_in_pieces() {
    let (blocks, end) = read(b"0123456789\nx\n", 4, 4);
    let contents: Vec<_> = blocks.iter().map(|block| block.content).collect();
    assert_eq!(texts(&blocks), [&b"01234"[..], b"5678", b"9\n", b"x\n"]);
    use Content::{OversizedRest, OversizedStart, Records};
    let pieces = [OversizedStart { last: false }, OversizedRest { last: false }, OversizedRest { last: true }];
    assert_eq!(contents, [&pieces[..], &[Records]].concat());
    assert_eq!(end, None);
}

#[test]
fn a_frame_beyond_the_limit_is_emitted_in_pieces() {
    let (blocks, end) = read(b"\0\0\0\x01a\0\0\0\x09123456789\0\0\0\x01b", 8, 4);
    let joined: Vec<u8> = texts(&blocks).concat();
    assert_eq!(joined, b"\0\0\0\x01a\0\0\0\x09123456789\0\0\0\x01b");
    assert_eq!(blocks[1].content, Content::OversizedStart { last: false });
    assert_eq!(blocks.last().unwrap().bytes(), b"\0\0\0\x01b");
    assert_eq!(blocks.last().unwrap().content, Content::Records);
    assert_eq!(end, None);
}

#[test]
fn an_announced_length_of_gigabytes_is_not_allocated() {
    let (blocks, end) = read(b"\0\0\0\x01a\xff\xff\xff\xffxyz", 64, 1 << 20);
    assert_eq!(texts(&blocks), [&b"\0\0\0\x01a"[..], b"\xff\xff\xff\xffxyz"]);
    assert!(blocks.iter().all(|block| block.bytes().len() <= 64));
    assert_eq!(
        end.unwrap(),
        "in: record 2 at byte 5: the input ends inside this frame, after 7 of its 4294967299 bytes (is the input truncated?)"
    );
}

#[test]
fn a_frame_truncated_at_any_byte_is_reported_with_its_location() {
    let whole = b"\0\0\0\x01a\0\0\0\x03bcd";
    for len in 1..whole.len() {
        let (blocks, end) = read(&whole[..len], 64, 100);
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

#[test]
fn only_one_byte_order_mark_at_the_start_of_text_is_skipped() {
    let mark = "\u{feff}";
    let (blocks, _) = read(format!("{mark}{mark}a\n{mark}b").as_bytes(), 64, 100);
    assert_eq!(texts(&blocks), [format!("{mark}a\n{mark}b").as_bytes()]);
    assert_eq!(blocks[0].offset, 3);
    assert_eq!(texts(&read(b"\xef\xbb", 64, 100).0), [b"\xef\xbb"]);
    assert_eq!(texts(&read(mark.as_bytes(), 64, 100).0), [] as [&[u8]; 0]);
}

#[test]
fn an_empty_input_has_no_blocks() {
    assert_eq!(texts(&read(b"", 64, 100).0), [] as [&[u8]; 0]);
}

/// Returns each of `pieces` only to a read that waits, then fails.
struct Broken<'a>(std::slice::Iter<'a, &'static [u8]>);

impl ByteSource for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        if mode == ReadMode::NoWait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut piece = *self.0.next().ok_or_else(|| io::Error::other("unplugged"))?;
        piece.read(buffer)
    }
}

#[test]
fn complete_records_are_emitted_when_no_more_input_is_available() {
    let pieces: [&[u8]; 4] = [b"a\n", b"b", b"\nc", b"d\n"];
    let (blocks, end) = read_source(&mut Broken(pieces.iter()), 64, 100);
    assert_eq!(texts(&blocks), [&b"a\n"[..], b"b\n", b"cd\n"]);
    assert_eq!(end.unwrap(), "in: cannot read at byte 7: unplugged");
}

#[test]
fn only_complete_records_before_a_failed_read_are_emitted() {
    let pieces: [&[u8]; 1] = [b"a\nhalf"];
    let (blocks, end) = read_source(&mut Broken(pieces.iter()), 64, 100);
    assert_eq!(texts(&blocks), [b"a\n"]);
    assert_eq!(end.unwrap(), "in: cannot read at byte 6: unplugged");
}
