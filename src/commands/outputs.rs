//! What a run writes: the answers, the saved list and the rejects, opened before anything is read, so that a folder
//! that cannot be written is told at once.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::files::{FileId, is_dash, output_id};
use super::inputs::Inputs;
use super::usage::wrong;
use crate::cli::{OnError, RunArgs};
use crate::messages::shown;
use crate::sink::{Rank, Rejects, StageError, Staging, earlier_rejects, may_hold_rejects};
use crate::stdio::{stderr_file, stdout_file};

/// Where one output goes.
#[derive(Debug)]
pub struct Output {
    /// What messages call it.
    pub name: String,
    /// Where to write.
    pub file: Arc<File>,
    /// Whether it is the standard output.
    pub is_stdout: bool,
}

/// Everything that a run writes beside messages.
#[derive(Debug)]
pub struct Outputs {
    /// The answers.
    pub answers: Output,
    /// The loyalty list at the end, if it is wanted.
    pub list: Option<Output>,
    /// The bad records, if they are wanted.
    pub rejects: Option<Rejects>,
}

/// Claims the list that a run will save, before anything is looked at: while another run is at work on it, this one
/// would read what is about to be replaced, and undo what the other one adds.
///
/// # Errors
/// When another run has claimed it.
pub fn claim_list(path: &Path, staging: &Staging) -> anyhow::Result<()> {
    if standard_stream(path)?.is_some() {
        return Ok(());
    }
    staging.claim_list(path).with_context(|| shown(path))
}

impl Outputs {
    /// Opens the outputs.
    ///
    /// # Errors
    /// When one of them cannot be written, or would harm an input or another output.
    pub fn open(args: &RunArgs, inputs: &Inputs, staging: &Arc<Staging>) -> anyhow::Result<Self> {
        let output = args.output.as_deref().unwrap_or(Path::new("-"));
        let save = args.save_loyalty.as_deref();
        check_output(output, inputs)?;
        check_list(args, inputs)?;
        check_rejects(args, inputs)?;
        let rejects = match &args.rejects {
            Some(folder) => Some(
                Rejects::keep_in(folder, Arc::clone(staging))
                    .with_context(|| format!("{}: cannot keep rejects there", shown(folder)))?,
            ),
            None => None,
        };
        check_apart(args)?;
        let answers = Output::open(output, staging, Rank::Output)?;
        let list = save.map(|path| Output::open(path, staging, Rank::List)).transpose()?;
        if answers.is_stdout && list.as_ref().is_some_and(|list| list.is_stdout) {
            return wrong("the answers and the saved list cannot both go to the standard output; give one a file");
        }
        Ok(Self { answers, list, rejects })
    }
}

impl Output {
    /// Opens the output that `path` names. `-`, and whatever else is the standard output or the standard error, is
    /// written through; a file is staged.
    ///
    /// # Errors
    /// When it cannot be written, or another output goes there.
    pub fn open(path: &Path, staging: &Staging, rank: Rank) -> anyhow::Result<Self> {
        let name = if is_dash(path) { "stdout".to_owned() } else { shown(path) };
        if let Some((file, is_stdout)) = standard_stream(path)? {
            return Ok(Self { name, file, is_stdout });
        }
        match staging.create(path, rank) {
            Ok(file) => Ok(Self { name, file, is_stdout: false }),
            Err(StageError::NamedTwice) => wrong(format!("{name} is named for two outputs")),
            Err(error) => Err(anyhow!("{name}: cannot write: {error}")),
        }
    }

    /// The output as something to write to.
    pub fn into_writer(self) -> Box<dyn Write + Send> {
        Box::new(self.file)
    }
}

/// The standard output or the standard error, if `path` stands for one of them, and whether it is the former.
fn standard_stream(path: &Path) -> anyhow::Result<Option<(Arc<File>, bool)>> {
    let id = FileId::of_path(path);
    let is = |file: &File| id.is_some() && FileId::of_open(file) == id;
    let stdout = stdout_file().context("stdout")?;
    if is_dash(path) || is(&stdout) {
        return Ok(Some((Arc::new(stdout), true)));
    }
    let stderr = stderr_file().context("stderr")?;
    Ok(is(&stderr).then(|| (Arc::new(stderr), false)))
}

fn check_output(path: &Path, inputs: &Inputs) -> anyhow::Result<()> {
    match inputs.find_output(path) {
        Some(input) => wrong(format!("the answers would be written over {input}, which is being read")),
        None => Ok(()),
    }
}

/// The saved list may replace a loyalty list that was read, because it is put in place at the end. Rows that could not
/// be read must not vanish with it.
fn check_list(args: &RunArgs, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(path) = args.save_loyalty.as_deref() else { return Ok(()) };
    let Some(id) = output_id(path) else { return Ok(()) };
    if let Some(input) = inputs.find_conversions(&id) {
        return wrong(format!("the saved list would be written over {input}, which holds conversions"));
    }
    if args.output.as_deref().and_then(output_id).as_ref() == Some(&id) {
        return wrong(format!("{} is named for two outputs", shown(path)));
    }
    if inputs.is_no_plain_text(&id) {
        return wrong(format!(
            "the saved list is plain text, and {} is CSV, framed or packed, so tomorrow's run could not read it in the \
             same way; save it to another file",
            shown(path)
        ));
    }
    if inputs.find(&id).is_some() && args.on_error == OnError::Skip && args.rejects.is_none() {
        return wrong(format!(
            "with --on-error skip, bad rows of {} would be lost once the saved list takes its place; keep them with \
             --rejects DIR",
            shown(path)
        ));
    }
    Ok(())
}

/// A folder of rejects must neither swallow files that are somebody else's nor be read at the same time.
fn check_rejects(args: &RunArgs, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(folder) = &args.rejects else { return Ok(()) };
    let earlier = earlier_rejects(folder);
    if let Some(input) = earlier.iter().filter_map(|path| FileId::of_path(path)).find_map(|id| inputs.find(&id)) {
        return wrong(format!("{input} is being read and would be replaced by new rejects; name another folder"));
    }
    if !may_hold_rejects(folder).with_context(|| format!("{}: cannot keep rejects there", shown(folder)))? {
        return wrong(format!(
            "{} holds files that are no rejects of an earlier run; name a folder that is new or empty",
            shown(folder)
        ));
    }
    Ok(())
}

/// A file that lies in the folder of the rejects would be taken for one of them, or keep the next run from using it.
fn check_apart(args: &RunArgs) -> anyhow::Result<()> {
    let Some(folder) = args.rejects.as_ref().and_then(|folder| folder.canonicalize().ok()) else { return Ok(()) };
    let parent =
        |path: &Path| path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")).canonicalize();
    let mut outputs = [&args.output, &args.save_loyalty].into_iter().flatten();
    match outputs.find(|path| !is_dash(path) && parent(path).is_ok_and(|parent| parent == folder)) {
        Some(path) => wrong(format!("{} lies in the folder of the rejects; name another place", shown(path))),
        None => Ok(()),
    }
}
