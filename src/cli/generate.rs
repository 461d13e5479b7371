//! `adseg generate`: writes sample data.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::args::{EXIT_CODES, count, usage_error};
use super::file_id::FileId;
use super::files::Output;
use super::session::Session;
use crate::escape;
use crate::input::push_frame;
use crate::output::CommitOrder;
use crate::sample::{Records, SampleCodes, SampleSuppressions, Settings};

pub(super) const LONG_ABOUT: &str = "\
Generate sample data: a loyalty list, conversions, a suppression list and codes.

The same options and seed give the same bytes in every version. A few customers account for most of the conversions, \
as in real shops. All emails are in domains that are reserved for examples, so no real person can receive mail. Half of \
the suppressed customers are members; some are digests, and some emails are in another case.

If both --loyalty and --conversions are `-`, standard output is one interleaved stream, which adseg run can read from \
standard input. An existing file is replaced only with --force.";

const EXAMPLES: &str = "\
Examples:
  Write a small campaign:
    adseg generate --loyalty loyalty.txt --conversions conversions.txt

  Write ten million conversions by five million customers, one million of them members:
    adseg generate --loyalty loyalty.txt --conversions conversions.txt \\
      --events 10000000 --customers 5000000 --members 1000000

  Write a campaign with a suppression list and codes, for the policy of adseg run:
    adseg generate --loyalty loyalty.txt --conversions conversions.txt --suppress suppressed.txt --codes codes.txt

  Pipe the data into a run:
    adseg generate --loyalty - --conversions - | adseg run --loyalty - --conversions - --summary";

/// The arguments of `adseg generate`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct GenerateArgs {
    /// Write the loyalty list to FILE; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[arg(required_unless_present_any = ["conversions", "suppress", "codes"])]
    loyalty: Option<PathBuf>,

    /// Write the conversions to FILE; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    conversions: Option<PathBuf>,

    /// Write a suppression list to FILE: one email or digest per line; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    suppress: Option<PathBuf>,

    /// Write single-use codes to FILE, one per line; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    codes: Option<PathBuf>,

    /// The format of the loyalty list and the conversions
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    format: SampleFormat,

    /// Replace existing files
    #[arg(long, help_heading = "Output")]
    force: bool,

    /// The number of members on the loyalty list
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = count, allow_negative_numbers = true)]
    #[arg(help_heading = "Data")]
    members: u64,

    /// The number of conversions
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count, allow_negative_numbers = true)]
    #[arg(help_heading = "Data")]
    events: u64,

    /// The number of customers, including the members [default: five times the members]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Data")]
    customers: Option<u64>,

    /// The number of suppressed customers, at most all [default: a tenth of the members]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Data")]
    #[arg(requires = "suppress")]
    suppressed: Option<u64>,

    /// The number of codes [default: the number of conversions]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Data")]
    #[arg(requires = "codes")]
    code_count: Option<u64>,

    /// The seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count, allow_negative_numbers = true)]
    #[arg(help_heading = "Data")]
    seed: u64,

    /// The ratio of clicks, baskets and purchases
    #[arg(long, value_name = "C,B,P", default_value = "60,25,15", value_parser = parse_mix, help_heading = "Data")]
    mix: [u32; 3],

    /// The share of conversions that are bad records, such as 0.01
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share, help_heading = "Data")]
    #[arg(allow_negative_numbers = true)]
    bad: u32,
}

/// The format of generated records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SampleFormat {
    /// One record per line
    #[default]
    Text,
    /// Each record is preceded by its length, a 4-byte big-endian integer
    Framed,
}

fn parse_mix(text: &str) -> Result<[u32; 3], String> {
    let parts: Option<Vec<u32>> = text.split(',').map(|part| part.trim().parse::<u16>().ok().map(u32::from)).collect();
    let mix = parts.and_then(|parts| <[u32; 3]>::try_from(parts).ok()).filter(|mix| mix.iter().any(|&part| part > 0));
    mix.ok_or_else(|| "expected three numbers up to 65535, not all of them 0, such as 60,25,15".to_owned())
}

/// Parses a decimal number from 0 to 1, in millionths, without floating point, so the result is the same on every
/// machine.
fn parse_share(text: &str) -> Result<u32, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let share = (digits(whole) && digits(fraction) && fraction.len() <= 6)
        .then(|| format!("{whole}{fraction:0<6}").parse().ok().filter(|&share| share <= 1_000_000));
    let expected = "expected a number from 0 to 1 with at most 6 digits after the point, such as 0.01";
    share.flatten().ok_or_else(|| expected.to_owned())
}

pub fn generate(args: &GenerateArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        seed: args.seed,
        members: args.members,
        events: args.events,
        customers: args.customers.unwrap_or(args.members.saturating_mul(5)),
        mix: args.mix,
        bad_per_million: args.bad,
    };
    let open =
        |path: &Option<PathBuf>, order| path.as_deref().map(|path| open(path, args.force, session, order)).transpose();
    let (loyalty, conversions) =
        (open(&args.loyalty, CommitOrder::List)?, open(&args.conversions, CommitOrder::Output)?);
    let [suppressions, codes] = [&args.suppress, &args.codes].map(|path| open(path, CommitOrder::Output));
    let (suppressions, codes) = (suppressions?, codes?);
    let write_records =
        |output: &Output, mut records: Records| write(output, args.format, &mut |record| records.write_next(record));
    let is_stdout = |output: &&Option<Output>| output.as_ref().is_some_and(|output| output.is_stdout);
    let is_stream = [&loyalty, &conversions].iter().all(is_stdout);
    let on_stdout = [&loyalty, &conversions, &suppressions, &codes].into_iter().filter(is_stdout).count();
    if on_stdout > if is_stream { 2 } else { 1 } {
        return usage_error("only --loyalty and --conversions can both be standard output; name a file");
    }
    match &loyalty {
        Some(both) if is_stream => write_records(both, Records::interleaved(&settings))?,
        _ => {
            loyalty.map_or(Ok(()), |output| write_records(&output, Records::members(&settings)))?;
            conversions.map_or(Ok(()), |output| write_records(&output, Records::conversions(&settings)))?;
        }
    }
    if let Some(output) = suppressions {
        let mut list = SampleSuppressions::new(&settings, args.suppressed.unwrap_or(args.members / 10));
        write(&output, SampleFormat::Text, &mut |line| list.write_next(line))?;
    }
    if let Some(output) = codes {
        let mut codes = SampleCodes::new(&settings, args.code_count.unwrap_or(args.events));
        write(&output, SampleFormat::Text, &mut |line| codes.write_next(line))?;
    }
    session.commit(ExitCode::SUCCESS)
}

fn open(path: &Path, force: bool, session: &Session, order: CommitOrder) -> anyhow::Result<Output> {
    let is_stdout = FileId::of_output(path) == FileId::of_output(Path::new("-"));
    if !force && !is_stdout && path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return usage_error(format!("{} exists already; --force replaces it", escape::path(path)));
    }
    Output::open_unchecked(path, session, order)
}

/// The size of a write in bytes.
const WRITTEN_BYTES: usize = 1 << 20;

/// A function that appends the next record without a line feed, and returns false if there is none.
type WriteNext<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> bool;

fn write(output: &Output, format: SampleFormat, write_next: WriteNext<'_>) -> anyhow::Result<()> {
    write_all(format, write_next, &mut output.writer()).map_err(|error| output.cannot_write(error))
}

fn write_all(format: SampleFormat, write_next: WriteNext<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(WRITTEN_BYTES + WRITTEN_BYTES / 8);
    loop {
        let start = buffer.len();
        let mut more = false;
        match format {
            SampleFormat::Text => {
                more = write_next(&mut buffer);
                buffer.push(b'\n');
            }
            SampleFormat::Framed => push_frame(&mut buffer, |payload| more = write_next(payload)),
        }
        if !more {
            // Removes the line feed or frame header of the record that does not exist.
            buffer.truncate(start);
        }
        if !more || buffer.len() >= WRITTEN_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
        if !more {
            return out.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_mixes_are_parsed_exactly() {
        for (text, share) in [("0", 0), ("1", 1_000_000), ("0.01", 10_000), ("0.000001", 1), ("1.0", 1_000_000)] {
            assert_eq!(parse_share(text), Ok(share), "{text}");
        }
        for text in ["", "1.1", "2", "-0.1", "0.0000001", ".5", "1%", "0.1e1"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        assert_eq!(parse_mix("1, 0,2"), Ok([1, 0, 2]));
        for text in ["1,2", "1,2,3,4", "0,0,0", "a,b,c", "-1,2,3", "70000,1,1"] {
            assert!(parse_mix(text).is_err(), "{text}");
        }
    }
}
