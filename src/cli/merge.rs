//! `adseg merge`: makes one file of the parts of a run on several machines.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;

use super::args::EXIT_CODES;
use super::file_id::is_dash;
use super::files::Output;
use super::part_folder::is_inside;
use super::session::Session;
use crate::engine::cluster::{Manifest, MergeError};
use crate::escape;
use crate::output::CommitOrder;

pub(super) const LONG_ABOUT: &str = "\
Merge the parts that `adseg run --hosts` wrote into one file, in input order.

The result is the same as that of the run on one machine. adseg reads the manifest of the run first, and fails if the \
run is not complete, or if a part is missing, has another length or has another checksum.";

const EXAMPLES: &str = "\
Examples:
  Merge the parts of a run:
    adseg merge answers -o codes.txt";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct MergeArgs {
    /// The directory of the parts and of their manifest
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Write the decisions to FILE, which is replaced when all parts are merged; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, help_heading = "Output")]
    output: PathBuf,
}

pub fn merge(args: &MergeArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let MergeArgs { folder, output } = args;
    let manifest = Manifest::read(folder)?;
    if !is_dash(output) && is_inside(output, folder) {
        return super::args::usage_error(format!(
            "the output would be among the parts in {}; name another directory",
            escape::path(folder)
        ));
    }
    let out = Output::open_unchecked(output, session, CommitOrder::Output)?;
    if out.is_stdout {
        // What is written to standard output cannot be undone.
        manifest.verify(folder)?;
    }
    manifest.merge(folder, &mut out.writer()).map_err(|error| match error {
        MergeError::Write(error) => out.cannot_write(error),
        error => anyhow!(error),
    })?;
    session.commit(ExitCode::SUCCESS)
}
