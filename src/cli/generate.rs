//! The arguments of `adseg generate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EXIT_CODES;

pub(super) const GENERATE_LONG_ABOUT: &str = "\
Make sample data: a loyalty list and conversions to try things on.

The same seed gives the same bytes for ever. A few customers cause most of the events, as in real shops. All emails \
lie under domains that are reserved for examples, so nobody is ever mailed by accident.

When both outputs are `-`, the standard output is one stream of members and conversions, as run reads it from the \
standard input. A file that is there already is left alone unless --force is given.";

const GENERATE_EXAMPLES: &str = "\
Examples:
  A small campaign:
    adseg generate --loyalty loyalty.txt --conversions conversions.txt

  Ten million events of five million customers, a million of them members:
    adseg generate --loyalty loyalty.txt --conversions conversions.txt \\
      --events 10000000 --customers 5000000 --members 1000000

  Straight into a run:
    adseg generate --loyalty - --conversions - | adseg run --loyalty - --conversions - --summary";

/// The arguments of `adseg generate`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{GENERATE_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct GenerateArgs {
    /// Where the loyalty list goes; `-` is the standard output
    #[arg(long, value_name = "FILE", required_unless_present = "conversions", help_heading = "Outputs")]
    pub loyalty: Option<PathBuf>,

    /// Where the conversions go; `-` is the standard output
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub conversions: Option<PathBuf>,

    /// How the records are marked
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Outputs")]
    pub format: SampleFormat,

    /// Replace files that are there already
    #[arg(long, help_heading = "Outputs")]
    pub force: bool,

    /// How many members the list has
    #[arg(long, value_name = "N", default_value_t = 1_000, help_heading = "Data")]
    pub members: u64,

    /// How many conversions there are
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Data")]
    pub events: u64,

    /// How many customers cause them, all members among them [default: five times the members]
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub customers: Option<u64>,

    /// What the data is drawn from
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Data")]
    pub seed: u64,

    /// Clicks, baskets and purchases, as parts of the whole
    #[arg(long, value_name = "C,B,P", default_value = "60,25,15", value_parser = parse_mix, help_heading = "Data")]
    pub mix: [u32; 3],

    /// The share of conversions that are bad records, such as 0.01
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share, help_heading = "Data")]
    pub bad: PerMillion,
}

/// A share, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMillion(pub u32);

/// How generated records are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SampleFormat {
    /// One record a line
    #[default]
    Text,
    /// Each record behind its length, 4 bytes, big-endian
    Framed,
}

fn parse_mix(text: &str) -> Result<[u32; 3], String> {
    let parts: Option<Vec<u32>> = text.split(',').map(|part| part.trim().parse::<u16>().ok().map(u32::from)).collect();
    let mix = parts.and_then(|parts| <[u32; 3]>::try_from(parts).ok()).filter(|mix| mix.iter().any(|&part| part > 0));
    mix.ok_or_else(|| "expected three numbers up to 65535, not all of them 0, such as 60,25,15".to_owned())
}

/// Takes a decimal number from 0 to 1 apart by its digits: the same text is the same share on every machine.
fn parse_share(text: &str) -> Result<PerMillion, String> {
    let expected = || "expected a number from 0 to 1 with at most 6 digits behind the point, such as 0.01".to_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return Err(expected());
    }
    let share = format!("{whole}{fraction:0<6}").parse::<u32>().ok().filter(|&share| share <= 1_000_000);
    share.map(PerMillion).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_digit_by_digit() {
        for (text, share) in [("0", 0), ("1", 1_000_000), ("0.01", 10_000), ("0.000001", 1), ("1.0", 1_000_000)] {
            assert_eq!(parse_share(text), Ok(PerMillion(share)), "{text}");
        }
        for text in ["", "1.1", "2", "-0.1", "0.0000001", ".5", "1%", "0.1e1"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mix_has_three_parts() {
        assert_eq!(parse_mix("1, 0,2"), Ok([1, 0, 2]));
        for text in ["1,2", "1,2,3,4", "0,0,0", "a,b,c", "-1,2,3", "70000,1,1"] {
            assert!(parse_mix(text).is_err(), "{text}");
        }
    }
}
