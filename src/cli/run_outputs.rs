//! The outputs of `adseg run`: opening and locking them, and the checks that no output damages an input or another
//! output.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::args::{OnError, StderrIsLedger, usage_error};
use super::file_id::{FileId, has_hard_links, is_dash};
use super::files::{Inputs, NamedInput, Output, is_compressed, standard_stream};
use super::policy_args::check_regular;
use super::run::RunArgs;
use super::session::Session;
use crate::escape;
use crate::output::{CommitOrder, ListFormat, Rejects, can_contain_rejects, earlier_rejects};
use crate::record::SourceKind;
use crate::system::stderr_file;

/// Locks the list that will be saved and the ledger, before any input is read. Otherwise the run could read a file that
/// another run is about to replace, and undo the changes of that run.
pub fn lock_outputs(args: &RunArgs, session: &Session) -> anyhow::Result<()> {
    if let Some(ledger) = &args.policy.ledger {
        check_regular(ledger)?;
        check_ledger(ledger, args)?;
        session.staging.lock_file(ledger, CommitOrder::Ledger).with_context(|| escape::path(ledger))?;
    }
    match &args.save_loyalty {
        Some(list) if standard_stream(list)?.is_none() => {
            session.staging.lock_file(list, CommitOrder::List).with_context(|| escape::path(list))
        }
        _ => Ok(()),
    }
}

/// The open outputs of a run.
pub struct Outputs {
    pub decisions: Output,
    pub list: Option<Output>,
    pub ledger: Option<Output>,
    pub rejects: Option<Rejects>,
}

impl Outputs {
    /// Opens the outputs, which must not damage an input or each other.
    pub fn open(args: &RunArgs, inputs: &Inputs, session: &Session) -> anyhow::Result<Self> {
        let rejects = open_rejects(args, inputs, session)?;
        if args.codes.is_some() {
            inputs.check_output(&args.output)?;
            check_replaced(&args.output)?;
        }
        let decisions = Output::open(&args.output, inputs, session, CommitOrder::Output)?;
        let ledger = open_ledger(args, inputs, session)?;
        let list = open_list(args, session)?;
        if decisions.is_stdout && list.as_ref().is_some_and(|list| list.is_stdout) {
            return usage_error(
                "the decisions and the saved list cannot both be written to standard output; name a file for one of them",
            );
        }
        Ok(Self { decisions, list, ledger, rejects })
    }
}

/// Checks the list and the rejects, and opens the rejects.
pub fn open_rejects(args: &RunArgs, inputs: &Inputs, session: &Session) -> anyhow::Result<Option<Rejects>> {
    let (folder, save) = (args.rejects.as_deref(), args.save_loyalty.as_deref());
    folder.map(|folder| check_rejects(folder, inputs)).transpose()?;
    save.map(|path| check_list(path, args, inputs)).transpose()?;
    Ok(folder.map(|folder| Rejects::create(folder, Arc::clone(&session.staging))).transpose()?)
}

/// Opens the new ledger.
pub fn open_ledger(args: &RunArgs, inputs: &Inputs, session: &Session) -> anyhow::Result<Option<Output>> {
    let Some(path) = &args.policy.ledger else { return Ok(None) };
    let ledger = Output::open(path, inputs, session, CommitOrder::Ledger)?;
    check_one_name(path)?;
    Ok(Some(ledger))
}

/// Opens the saved list, which [`open_rejects`] has checked.
pub fn open_list(args: &RunArgs, session: &Session) -> anyhow::Result<Option<Output>> {
    let open = |path| Output::open_unchecked(path, session, CommitOrder::List);
    args.save_loyalty.as_deref().map(open).transpose()
}

/// Codes must be written to a file that is replaced at the end. Otherwise they could be used although the run fails.
fn check_replaced(output: &Path) -> anyhow::Result<()> {
    let is_written_directly = output.metadata().is_ok_and(|metadata| !metadata.is_file());
    if is_written_directly || standard_stream(output)?.is_some() {
        return usage_error(
            "--codes needs -o FILE, a regular file: codes on standard output, in a pipe or on a device could be used \
             although the run fails later",
        );
    }
    Ok(())
}

/// The other outputs and standard streams must not be written to the ledger.
fn check_ledger(ledger: &Path, args: &RunArgs) -> anyhow::Result<()> {
    let Some(id) = FileId::of_path(ledger) else { return Ok(()) };
    let is_ledger = |other: Option<FileId>| other.as_ref() == Some(&id);
    let is_stdout = is_ledger(FileId::of_output(Path::new("-")));
    if is_ledger(stderr_file().ok().and_then(|stderr| FileId::of_open(&stderr))) {
        return Err(StderrIsLedger { ledger: ledger.to_owned(), is_stdout }.into());
    }
    let mut others = std::iter::once(&args.output).chain(&args.save_loyalty);
    if others.any(|other| is_ledger(FileId::of_output(other))) {
        return usage_error(format!("{} is named for two outputs", escape::path(ledger)));
    }
    if is_stdout {
        let name = escape::path(ledger);
        return usage_error(format!("standard output is the ledger {name}; write it to another file"));
    }
    Ok(())
}

/// A rename replaces one name of a file. Another hard link would remain the old ledger.
fn check_one_name(ledger: &Path) -> anyhow::Result<()> {
    if has_hard_links(ledger) {
        return usage_error(format!(
            "the ledger {} has another name, a hard link, which would not get the new rows; remove that name, or make it \
             a symbolic link",
            escape::path(ledger)
        ));
    }
    Ok(())
}

/// The saved list may replace a loyalty list that was read, because it is committed at the end. Bad rows of that list
/// must not be lost.
fn check_list(path: &Path, args: &RunArgs, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(id) = FileId::of_output(path) else { return Ok(()) };
    let is_standard_stream = standard_stream(path)?.is_some();
    let input = inputs.find(&id);
    if let Some(input) = input.filter(|input| input.source != SourceKind::Loyalty) {
        let input = input.name();
        return usage_error(format!("the saved list would overwrite {input}, which contains conversions"));
    }
    if is_standard_stream || !path.is_file() || inputs.find_other(&id).is_some() {
        // Such an output is written to while the input is open, or is not a list.
        inputs.check_output(path)?;
    }
    let name = escape::path(path);
    let both_are_stdout = is_dash(path) && is_dash(&args.output);
    if !both_are_stdout && FileId::of_output(&args.output).as_ref() == Some(&id) {
        return usage_error(format!("{name} is named for two outputs"));
    }
    if let Some(list) = inputs.replaced_list(&id).filter(|_| !is_standard_stream) {
        let list = list.name();
        bail!(
            "{list}: the loyalty list was deleted or replaced after it was opened; to save to {name} would undo the \
             changes of another run; open the list again"
        );
    }
    if input.map_or(Ok(false), NamedInput::is_partly_read).context("stdin: cannot read")? {
        return usage_error(format!(
            "standard input does not begin at the first row of {name}, and the saved list would not contain the rows \
             before it; use --loyalty {name}"
        ));
    }
    let is_compressed = input.map(|_| is_compressed(path)).transpose();
    if is_compressed.with_context(|| format!("{name}: cannot read"))? == Some(true) && !ListFormat::compresses(path) {
        return usage_error(format!(
            "{name} is compressed, and the saved list would not be; give the list a name that ends with .gz or .zst, or \
             save it to another file"
        ));
    }
    let skips = args.replay.bad_records.on_error == OnError::Skip;
    if skips && args.rejects.is_none() && input.is_some() {
        return usage_error(format!(
            "with --on-error skip, bad rows of {name} would be lost when the saved list replaces it; keep them with \
             --rejects DIR"
        ));
    }
    Ok(())
}

/// Rejects must not replace files of other programs or inputs of this run.
fn check_rejects(folder: &Path, inputs: &Inputs) -> anyhow::Result<()> {
    let name = escape::path(folder);
    let cannot_write = || format!("{name}: cannot write rejects");
    let earlier = earlier_rejects(folder).with_context(cannot_write)?;
    let is_input = |id: FileId| inputs.find(&id).map(NamedInput::name).or_else(|| inputs.find_other(&id));
    if let Some(input) = earlier.iter().filter_map(|path| FileId::of_path(path)).find_map(is_input) {
        return usage_error(format!(
            "{input} is an input and would be replaced by new rejects; name another directory"
        ));
    }
    if !can_contain_rejects(folder).with_context(cannot_write)? {
        return usage_error(format!(
            "{name} contains files that are not rejects of an earlier run; name a new or empty directory"
        ));
    }
    Ok(())
}
