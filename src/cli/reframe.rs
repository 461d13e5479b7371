//! The arguments of `adseg frame` and `adseg unframe`.

use std::path::PathBuf;

use clap::Args;

use super::EXIT_CODES;

pub(super) const FRAME_LONG_ABOUT: &str = "\
Put each line behind its length: text records to a framed stream.

Each line goes, without its line feed and otherwise byte for byte, behind its length in 4 bytes, big-endian. Blank \
lines and a byte-order mark at the beginning are passed over, as everywhere. Lines are framed as they arrive.";

pub(super) const UNFRAME_LONG_ABOUT: &str = "\
Take frames apart: a framed stream to text records, one a line.

Each frame becomes a line. A frame that holds a line feed, or nothing but white space, cannot be a line and is an \
error. Frames are taken apart as they arrive.";

const REFRAME_EXAMPLES: &str = "\
Examples:
  adseg frame conversions.txt -o conversions.frames
  adseg unframe conversions.frames | head
  tail -n +1 -f conversions.txt | adseg frame | adseg run --loyalty loyalty.txt --conversions -";

/// The arguments of `adseg frame` and `adseg unframe`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{REFRAME_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ReframeArgs {
    /// What is read, in this order, packed or not; `-`, or none at all, is the standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Write to FILE, which is left alone until all is done; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The longest record that is taken; a longer one is an error
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub max_record_bytes: u32,
}
