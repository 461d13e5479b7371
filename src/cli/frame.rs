//! `adseg frame` and `adseg unframe`: convert lines to frames and back.
//!
//! Records are not decoded. A frame that cannot be a line, because it contains a line feed or only white space, is an
//! error, so no record is lost.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use memchr::memchr;

use super::args::{EXIT_CODES, MaxRecordBytes};
use super::files::{Inputs, Output};
use super::session::{Session, cannot_start_thread};
use crate::input::{
    BYTE_ORDER_MARK, Block, Blocks, Content, InputFormat, ReaderSettings, is_ambiguous_as_text, is_blank, payload_at,
    push_frame, text_as_length,
};
use crate::location::{Location, RecordNumber};
use crate::output::{CommitOrder, Writer};

pub(super) const FRAME_LONG_ABOUT: &str = "\
Convert lines to length-prefixed frames.

Each line becomes a frame: a 4-byte big-endian length, then the line without its line feed. Blank lines are skipped. \
Lines are converted as they arrive. An input that is already framed is an error.";

pub(super) const UNFRAME_LONG_ABOUT: &str = "\
Convert length-prefixed frames to lines.

Each frame becomes a line. A frame that contains a line feed or only white space cannot be a line and is an error. \
Frames are converted as they arrive.";

const EXAMPLES: &str = "\
Examples:
  adseg frame conversions.txt -o conversions.frames
  adseg unframe conversions.frames | head
  tail -n +1 -f conversions.txt | adseg frame | adseg run --loyalty loyalty.txt --conversions -";

/// The arguments of `adseg frame` and `adseg unframe`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct FrameArgs {
    /// The inputs, read in the order given; compressed files are decompressed; `-` or no file is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    max_record_bytes: MaxRecordBytes,

    /// Write to FILE, which is replaced at the end; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, help_heading = "Output")]
    output: PathBuf,
}

/// Converts lines to frames, or frames to lines if that is the format to convert from.
pub fn convert(args: &FrameArgs, from: InputFormat, session: &Session) -> anyhow::Result<ExitCode> {
    let stdin = [PathBuf::from("-")];
    let inputs = Inputs::single_source(if args.files.is_empty() { &stdin } else { &args.files }, from)?;
    let output = Output::open(&args.output, &inputs, session, CommitOrder::Output)?;
    let max_record_bytes = args.max_record_bytes.get();
    let settings = ReaderSettings { max_record_bytes, ..ReaderSettings::default() };
    let blocks = Blocks::read(inputs.into_inputs(&session.progress), settings).map_err(cannot_start_thread)?;
    let mut writer = Writer::start(Box::new(output.writer())).map_err(cannot_start_thread)?;
    let converted = convert_blocks(blocks, max_record_bytes, &mut writer, &output);
    // A write error takes precedence over other errors.
    writer.finish().map_err(|error| output.cannot_write(error))?;
    converted?;
    session.commit(ExitCode::SUCCESS)
}

fn convert_blocks(
    mut blocks: Blocks,
    max_record_bytes: usize,
    writer: &mut Writer,
    output: &Output,
) -> anyhow::Result<()> {
    let (mut input, mut records, mut is_first) = (None, 0, true);
    while let Some(block) = blocks.next() {
        let block = block?;
        if input != Some(block.input.index) {
            (input, records) = (Some(block.input.index), 0);
        }
        let mut out = writer.buffer();
        let converted = convert_block(&block, max_record_bytes, is_first, &mut out);
        is_first = false;
        writer.write(out).map_err(|error| output.cannot_write(error))?;
        records += converted.map_err(|error| at_record(&block, records, error))?;
        blocks.recycle(block);
    }
    Ok(())
}

/// The reason why a record cannot be converted, and the number of records and bytes of its block before it.
type Unconverted = (Cow<'static, str>, u64, usize);

/// Appends the records of `block` to `out` in the other format. If the first line would be mistaken for another format,
/// a byte-order mark is written before it. Returns the number of lines or frames. After an error `out` contains the
/// records before the bad one.
fn convert_block(
    block: &Block,
    max_record_bytes: usize,
    is_first: bool,
    out: &mut Vec<u8>,
) -> Result<u64, Unconverted> {
    let (bytes, is_framed) = (block.bytes(), block.format.is_framed());
    if !is_framed && block.offset == 0 && bytes.starts_with(b"\0") {
        return Err(("the input is already framed (adseg unframe converts it to lines)".into(), 0, 0));
    }
    let too_long = || format!("the record is longer than {max_record_bytes} bytes (--max-record-bytes sets the limit)");
    if block.content != Content::Records {
        let is_text = is_framed && text_as_length(bytes).is_some();
        let text = "the frame length consists of text (is this plain text already?)";
        return Err((if is_text { text.into() } else { too_long().into() }, 0, 0));
    }
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let (payload, end) = if is_framed {
            let payload = payload_at(bytes, at);
            (&bytes[payload.clone()], payload.end)
        } else {
            let len = memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
            (&bytes[at..at + len], bytes.len().min(at + len + 1))
        };
        if payload.len() > max_record_bytes {
            return Err((too_long().into(), records, at));
        }
        if is_framed {
            check_line(payload).map_err(|error| (error.into(), records, at))?;
            if is_first && at == 0 && is_ambiguous_as_text(payload) {
                out.extend_from_slice(BYTE_ORDER_MARK);
            }
            out.extend_from_slice(payload);
            out.push(b'\n');
        } else if !is_blank(payload) {
            push_frame(out, |out| out.extend_from_slice(payload));
        }
        at = end;
        records += 1;
    }
    Ok(records)
}

fn check_line(payload: &[u8]) -> Result<(), &'static str> {
    if memchr(b'\n', payload).is_some() {
        Err("the frame contains a line feed, so it cannot be a line")
    } else if is_blank(payload) {
        Err("the frame contains only white space, so it would be skipped as a line")
    } else {
        Ok(())
    }
}

fn at_record(block: &Block, records_before: u64, (error, records, bytes): Unconverted) -> anyhow::Error {
    let number = records_before + records + 1;
    let record = RecordNumber::new(block.format.is_framed(), number);
    let location = Location { input: Arc::clone(&block.input.path), record, byte: Some(block.offset + bytes as u64) };
    anyhow!("{location}: {error}")
}
