//! The arguments of `adseg order-check`.

use clap::Args;

use super::EXIT_CODES;
use super::reading::{ReadingArgs, ReadingFormat};

pub(super) const ORDER_CHECK_LONG_ABOUT: &str = "\
Tell which decisions hang on the order in which the conversions files are named.

Several files are read in the order named, as if they were one. Where each file holds another type of conversion, that \
order says who is mailed: with the purchases before the clicks, everybody who bought is a member when they click; with the \
clicks first, nobody is. A click hangs on the order when the customer is not on the loyalty list, has not bought before it \
in the same file, and has bought in another one: it gets a code if such a file is named before.

Tells how many clicks hang on the order and how many of them get a code in the order given, in which files they and the \
purchases are, and which orders give the most and the fewest codes (for up to twelve files). The orders are only \
counted, not recommended: the right one is the order in which things happened.

The exit code is 0 when nothing hangs on the order, 1 when something does. On a single file, or one stream of members \
and conversions, nothing can; then nothing is read.";

const ORDER_CHECK_EXAMPLES: &str = "\
Examples:
  Does it matter in which order these are named?
    adseg order-check --loyalty loyalty.txt --conversions clicks.txt baskets.txt purchases.txt

  Every click that hangs on the order, for a program:
    adseg order-check --loyalty loyalty.txt --conversions *.log.gz --format jsonl | jq 'select(.kind == \"click\")'";

/// The arguments of `adseg order-check`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{ORDER_CHECK_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct OrderCheckArgs {
    /// How the report is written; JSON lines tell every click
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    pub format: ReadingFormat,

    /// Tell every click, and not only the first of each customer in a file, for the first few customers
    #[arg(long, help_heading = "Report")]
    pub all: bool,

    /// What is read, and how.
    #[command(flatten)]
    pub reading: ReadingArgs,
}
