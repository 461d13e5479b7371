//! The command line: what a user can type, and the help that teaches it.
//!
//! No work is done here and nothing of the rest of the crate is imported, so that the man pages can be made from these
//! types alone. What the arguments mean together is checked in [`crate::commands`].

mod check;
mod explain;
mod generate;
mod order_check;
mod reading;
mod reframe;
mod report;
mod run;
mod shared;
mod shell;

use clap::{Parser, Subcommand};

pub use check::{CheckArgs, CheckFormat};
pub use explain::ExplainArgs;
pub use generate::{GenerateArgs, PerMillion, SampleFormat};
pub use order_check::OrderCheckArgs;
pub use reading::{ReadingArgs, ReadingFormat};
pub use reframe::ReframeArgs;
pub use report::{ReportArgs, ReportFormat};
pub use run::{OnError, OutputFormatArg, RunArgs, SummaryFormat};
pub use shared::{InputArgs, InputFormatArg, ProgressWhen, SpeedArgs};
pub use shell::{CompletionsArgs, ManArgs};

const ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                     loyalty list";

const LONG_ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                          loyalty list.\n\nWhen a loyalty member clicks the ad, adseg says to send them a code. When \
                          somebody who is not a member buys, they become one, and their next click gets a code. There \
                          is one line of answer for every conversion, in the order of the input.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "adseg", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  adseg check --loyalty loyalty.txt --conversions conversions.txt
  adseg run --loyalty loyalty.txt --conversions conversions.txt
  adseg help run";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    bad data, or a read or a write that failed
  2    wrong usage
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no half-written file is left

A reader that goes away (adseg run ... | head) ends a run quietly, with 0; with 1 if files were
still to be put in place.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer every conversion: send an additional promo code, or not
    #[command(long_about = run::RUN_LONG_ABOUT)]
    Run(RunArgs),

    /// Look at the data before the campaign: tell every bad record, and what was seen
    #[command(long_about = check::CHECK_LONG_ABOUT)]
    Check(CheckArgs),

    /// Tell which decisions hang on the order in which the conversions files are named
    #[command(long_about = order_check::ORDER_CHECK_LONG_ABOUT)]
    OrderCheck(OrderCheckArgs),

    /// Tell why customers got a code or not: everything that the data says of each email
    #[command(long_about = explain::EXPLAIN_LONG_ABOUT)]
    Explain(ExplainArgs),

    /// Tell what the campaign did: clicks, customers, codes, purchases, revenue and new members
    #[command(long_about = report::REPORT_LONG_ABOUT)]
    Report(ReportArgs),

    /// Put each line behind its length: text records to a framed stream
    #[command(long_about = reframe::FRAME_LONG_ABOUT)]
    Frame(ReframeArgs),

    /// Take frames apart: a framed stream to text records, one a line
    #[command(long_about = reframe::UNFRAME_LONG_ABOUT)]
    Unframe(ReframeArgs),

    /// Make sample data: a loyalty list and conversions to try things on
    #[command(long_about = generate::GENERATE_LONG_ABOUT)]
    Generate(GenerateArgs),

    /// Print a script that completes adseg's arguments in a shell
    Completions(CompletionsArgs),

    /// Print a man page, or write all of them into a folder
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
