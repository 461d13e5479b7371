//! What a run writes: the answers, the saved list and the rejects, opened before anything is read, so that a folder
//! that cannot be written is told at once.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::files::{FileId, stdout_file};
use super::inputs::Inputs;
use super::usage::wrong;
use crate::cli::RunArgs;
use crate::sink::{Rank, Rejects, Staging};

/// Where one output goes.
#[derive(Debug)]
pub struct Output {
    /// What messages call it.
    pub name: String,
    /// Where to write.
    pub file: File,
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
    /// What has to be put in place, or taken back, at the end.
    pub staging: Arc<Staging>,
}

impl Outputs {
    /// Opens the outputs.
    ///
    /// # Errors
    /// When one of them cannot be written, or would harm an input or another output.
    pub fn open(args: &RunArgs, inputs: &Inputs) -> anyhow::Result<Self> {
        let staging = Arc::new(Staging::default());
        Self::open_all(args, inputs, &staging).inspect_err(|_| staging.abandon())
    }

    fn open_all(args: &RunArgs, inputs: &Inputs, staging: &Arc<Staging>) -> anyhow::Result<Self> {
        check_rejects(args, inputs)?;
        let rejects = match &args.rejects {
            Some(folder) => Some(
                Rejects::keep_in(folder, Arc::clone(staging))
                    .with_context(|| format!("{}: cannot keep rejects there", folder.display()))?,
            ),
            None => None,
        };
        let answers = answers(args.output.as_deref(), inputs, staging)?;
        let list = match &args.save_loyalty {
            Some(path) => Some(list(path, &answers, inputs, staging)?),
            None => None,
        };
        Ok(Self { answers, list, rejects, staging: Arc::clone(staging) })
    }
}

impl Output {
    fn stdout() -> anyhow::Result<Self> {
        let file = stdout_file().context("stdout")?;
        Ok(Self { name: "stdout".to_owned(), file, is_stdout: true })
    }

    fn staged(path: &Path, staging: &Staging, rank: Rank) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = staging.create(path, rank).with_context(|| format!("{name}: cannot write"))?;
        Ok(Self { name, file, is_stdout: false })
    }

    /// The output as something to write to.
    pub fn into_writer(self) -> Box<dyn Write + Send> {
        Box::new(self.file)
    }
}

/// Where the answers go: to the standard output unless a file is named that is not the standard output itself.
fn answers(path: Option<&Path>, inputs: &Inputs, staging: &Staging) -> anyhow::Result<Output> {
    let stdout = Output::stdout()?;
    let stdout_id = FileId::of_open(&stdout.file);
    let id = match path {
        Some(path) if !is_dash(path) => FileId::of_path(path),
        _ => stdout_id.clone(),
    };
    if let Some(input) = id.as_ref().and_then(|id| inputs.find(id)) {
        return wrong(format!("the answers would be written over {input}, which is being read"));
    }
    match path {
        Some(path) if !is_dash(path) && (id.is_none() || id != stdout_id) => {
            Output::staged(path, staging, Rank::Output)
        }
        _ => Ok(stdout),
    }
}

/// Where the saved list goes. It may replace a loyalty list that was read, because it is put in place at the end.
fn list(path: &Path, answers: &Output, inputs: &Inputs, staging: &Staging) -> anyhow::Result<Output> {
    if is_dash(path) {
        if answers.is_stdout {
            return wrong("the answers and the saved list cannot both go to the standard output; give one a file");
        }
        return Output::stdout();
    }
    if let Some(input) = FileId::of_path(path).and_then(|id| inputs.find_conversions(&id)) {
        return wrong(format!("the saved list would be written over {input}, which holds conversions"));
    }
    if FileId::of_path(path).is_some_and(|id| answers.is_stdout && FileId::of_open(&answers.file) == Some(id)) {
        return wrong(format!("the answers and the saved list cannot both go to {}", path.display()));
    }
    Output::staged(path, staging, Rank::List)
}

/// A folder of rejects must neither swallow files that are somebody else's nor be read at the same time.
fn check_rejects(args: &RunArgs, inputs: &Inputs) -> anyhow::Result<()> {
    let Some(folder) = &args.rejects else { return Ok(()) };
    let earlier = Rejects::earlier(folder);
    if let Some(input) = earlier.iter().filter_map(|path| FileId::of_path(path)).find_map(|id| inputs.find(&id)) {
        return wrong(format!("{input} is being read and would be replaced by new rejects; name another folder"));
    }
    if !Rejects::may_use(folder).with_context(|| format!("{}: cannot keep rejects there", folder.display()))? {
        return wrong(format!(
            "{} holds files that are no rejects of an earlier run; name a folder that is new or empty",
            folder.display()
        ));
    }
    Ok(())
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
