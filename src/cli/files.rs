//! The input files and output files of a command, checked and opened before anything is read.
//!
//! A missing file, an unwritable folder, or an output that would overwrite an input is reported immediately.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::args::usage_error;
use super::file_id::{FileId, is_dash, is_replaced};
use super::input_args::InputArgs;
use super::session::{Progress, Session};
use crate::escape;
use crate::input::{Input, InputFormat, Origin, ReadOptions, looks_compressed};
use crate::output::{CommitOrder, StageError};
use crate::record::SourceKind;
use crate::system::{Blocking, stderr_file, stdin_file, stdout_file};

/// The inputs of a command.
#[derive(Debug)]
pub struct Inputs {
    /// The inputs with records, in the order in which they are read.
    named: Vec<NamedInput>,
    /// The suppression lists, which are read before.
    suppressions: Vec<NamedInput>,
    /// The size of all suppression lists in bytes, if all sizes are known.
    suppression_bytes: Option<u64>,
    /// The name and the identity of each other file that the command reads.
    others: Vec<(String, FileId)>,
}

#[derive(Debug)]
pub struct NamedInput {
    pub source: SourceKind,
    options: Arc<ReadOptions>,
    /// `None` for standard input.
    path: Option<PathBuf>,
    id: Option<FileId>,
    /// Whether it is an open file that was deleted or replaced at its name.
    is_replaced: bool,
    /// In bytes, if known.
    size: Option<u64>,
}

const STDIN: &str = "stdin";
const STDIN_TWICE: &str = "standard input ('-') is named twice, but can be read only once";

impl Inputs {
    /// The loyalty list, then the conversions; one interleaved stream if both are standard input. Fails if an input does
    /// not exist, or one file is named for both sources.
    pub fn new(args: &InputArgs) -> anyhow::Result<Self> {
        let (loyalty, conversions) = (args.loyalty.as_slice(), args.conversions.as_slice());
        let sources: Vec<(SourceKind, &PathBuf)> = match ([loyalty, conversions].map(count_stdin), loyalty, conversions)
        {
            ([1, 1], [both], [_]) => vec![(SourceKind::Interleaved, both)],
            ([1, 1], ..) => {
                return usage_error(
                    "standard input ('-') is named for both sources, together with files; name '-' for one \
                     source, or only '-' for both to read one interleaved stream",
                );
            }
            ([0..=1, 0..=1], ..) => {
                let loyalty = loyalty.iter().map(|path| (SourceKind::Loyalty, path));
                loyalty.chain(conversions.iter().map(|path| (SourceKind::Conversions, path))).collect()
            }
            _ => return usage_error(STDIN_TWICE),
        };
        let named = |(source, path): (SourceKind, &PathBuf)| {
            NamedInput::new(source, Arc::new(args.read_options(source)?), path)
        };
        let mut inputs = Self::of(sources.into_iter().map(named))?;
        inputs.check_sources_differ()?;
        inputs.check_no_file_is_named_twice()?;
        if let Some(campaign) = &args.campaign {
            inputs.add_campaign(campaign)?;
        }
        Ok(inputs)
    }

    /// The inputs of `frame` and `unframe`, which do not distinguish sources.
    pub fn single_source(paths: &[PathBuf], format: InputFormat) -> anyhow::Result<Self> {
        if count_stdin(paths) > 1 {
            return usage_error(STDIN_TWICE);
        }
        let options = Arc::new(ReadOptions::of_format(format));
        Self::of(paths.iter().map(|path| NamedInput::new(SourceKind::Interleaved, Arc::clone(&options), path)))
    }

    fn of(named: impl Iterator<Item = anyhow::Result<NamedInput>>) -> anyhow::Result<Self> {
        let named = named.collect::<anyhow::Result<_>>()?;
        Ok(Self { named, suppressions: Vec::new(), suppression_bytes: Some(0), others: Vec::new() })
    }

    /// Adds a file that the command reads but that contains no records, so no output may overwrite it.
    pub fn add_other(&mut self, path: &Path) {
        let (name, id) = if is_dash(path) {
            (STDIN.to_owned(), stdin_file().ok().and_then(|stdin| FileId::of_open(&stdin)))
        } else {
            (escape::path(path), FileId::of_path(path))
        };
        self.others.extend(id.map(|id| (name, id)));
    }

    /// Adds suppression lists. Fails if one does not exist, or standard input is named twice.
    pub fn add_suppressions(&mut self, paths: &[PathBuf]) -> anyhow::Result<()> {
        let stdin = count_stdin(paths);
        if stdin > 1 || (stdin > 0 && self.named.iter().any(|input| input.path.is_none())) {
            return usage_error(STDIN_TWICE);
        }
        for path in paths {
            self.suppressions.push(NamedInput::new(SourceKind::Suppression, Arc::default(), path)?);
            self.add_other(path);
        }
        self.suppression_bytes = self.suppressions.iter().map(|input| input.size).sum();
        Ok(())
    }

    /// The suppression lists for the engine.
    pub fn take_suppressions(&mut self, progress: &Progress) -> Vec<Input> {
        std::mem::take(&mut self.suppressions).into_iter().map(|named| named.into_input(progress)).collect()
    }

    /// Adds the campaign file, which was read before. It cannot also be an input: a pipe would be empty.
    pub fn add_campaign(&mut self, path: &Path) -> anyhow::Result<()> {
        if let Some(same) = FileId::of_path(path).and_then(|id| self.find(&id)) {
            return usage_error(format!("{} is the campaign file; it cannot also be an input", same.name()));
        }
        self.add_other(path);
        Ok(())
    }

    fn check_sources_differ(&self) -> anyhow::Result<()> {
        let of = |source| self.named.iter().filter(move |input| input.source == source);
        for list in of(SourceKind::Loyalty) {
            if let Some(same) = of(SourceKind::Conversions).find(|input| input.id.is_some() && input.id == list.id) {
                return usage_error(format!(
                    "{} and {} are the same file; it cannot be both the loyalty list and the conversions",
                    list.name(),
                    same.name()
                ));
            }
        }
        Ok(())
    }

    /// Within one source, a file that is named twice would be replayed twice.
    fn check_no_file_is_named_twice(&self) -> anyhow::Result<()> {
        let mut files: HashMap<&FileId, &NamedInput> = HashMap::new();
        // Only a regular file has a size. A FIFO can be read twice: each time it has other content.
        for input in self.named.iter().filter(|input| input.size.is_some()) {
            let Some(same) = input.id.as_ref().and_then(|id| files.insert(id, input)) else { continue };
            let (first, second) = (same.name(), input.name());
            return usage_error(if first == second {
                format!("{first} is named twice; name each file once")
            } else {
                format!("{first} and {second} are the same file; name each file once")
            });
        }
        Ok(())
    }

    /// Whether standard input is both sources.
    pub fn is_interleaved(&self) -> bool {
        self.named.iter().any(|input| input.source == SourceKind::Interleaved)
    }

    /// Makes other columns of the list at `path` an error, because the saved list that replaces it would lose them.
    /// Returns its index.
    pub fn keep_columns_of(&mut self, path: &Path) -> Option<usize> {
        let id = FileId::of_output(path)?;
        let (index, input) = self.named.iter_mut().enumerate().find(|(_, input)| input.id.as_ref() == Some(&id))?;
        Arc::make_mut(&mut input.options).only_known = true;
        Some(index)
    }

    /// A loyalty list that another run may have replaced by the file `target` after it was opened.
    pub fn replaced_list(&self, target: &FileId) -> Option<&NamedInput> {
        self.named.iter().find(|input| {
            let is_list = input.source == SourceKind::Loyalty && input.is_replaced;
            is_list && input.id.as_ref().is_some_and(|id| id.is_on_device_of(target))
        })
    }

    pub fn find(&self, id: &FileId) -> Option<&NamedInput> {
        self.named.iter().find(|input| input.id.as_ref() == Some(id))
    }

    /// The name of a file that the command reads but that contains no records.
    pub fn find_other(&self, id: &FileId) -> Option<String> {
        self.others.iter().find(|(_, other)| other == id).map(|(name, _)| name.clone())
    }

    /// Fails if an output to `path` would overwrite an input.
    pub fn check_output(&self, path: &Path) -> anyhow::Result<()> {
        let Some(id) = FileId::of_output(path) else { return Ok(()) };
        match self.find(&id).map(NamedInput::name).or_else(|| self.find_other(&id)) {
            Some(input) => usage_error(format!("the output would overwrite {input}, which is an input")),
            None => Ok(()),
        }
    }

    /// The index and the path of each input that contains conversions.
    pub fn conversions(&self) -> Vec<(usize, PathBuf)> {
        let inputs = self.named.iter().enumerate().filter(|(_, input)| input.source != SourceKind::Loyalty);
        inputs.map(|(index, input)| (index, input.path_or_stdin().to_owned())).collect()
    }

    /// The name and the source of each input, in order.
    pub fn names_and_sources(&self) -> Vec<(Vec<u8>, SourceKind)> {
        let name = |input: &NamedInput| input.path_or_stdin().as_os_str().as_encoded_bytes().to_vec();
        self.named.iter().map(|input| (name(input), input.source)).collect()
    }

    /// Fails unless all inputs are regular files, which several processes can read.
    #[cfg(feature = "cluster")]
    pub fn check_regular(&self) -> anyhow::Result<()> {
        match self.named.iter().chain(&self.suppressions).find(|input| input.path.is_none() || input.size.is_none()) {
            Some(input) => usage_error(format!(
                "{} is not a regular file; a run in several processes reads files, so save it to a file first",
                input.name()
            )),
            None => Ok(()),
        }
    }

    /// The total size of the inputs in bytes, if all sizes are known.
    pub fn total_bytes(&self) -> Option<u64> {
        self.named.iter().map(|input| input.size).chain([self.suppression_bytes]).sum()
    }

    /// The inputs for the engine. `progress` counts the bytes that are read.
    pub fn into_inputs(self, progress: &Progress) -> Vec<Input> {
        self.named.into_iter().map(|named| named.into_input(progress)).collect()
    }
}

fn count_stdin(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| is_dash(path)).count()
}

impl NamedInput {
    fn new(source: SourceKind, options: Arc<ReadOptions>, path: &Path) -> anyhow::Result<Self> {
        if is_dash(path) {
            let stdin = stdin_file().context(STDIN)?;
            let file = stdin.metadata().ok().filter(Metadata::is_file);
            let is_replaced = file.as_ref().is_some_and(|file| is_replaced(Path::new("/proc/self/fd/0"), file));
            let (id, size) = (FileId::of_open(&stdin), file.as_ref().map(Metadata::len));
            return Ok(Self { source, options, path: None, id, is_replaced, size });
        }
        // Reports a missing file before anything is read. A FIFO must not be opened twice.
        let cannot_read = || format!("{}: cannot read", escape::path(path));
        let metadata = path.metadata().with_context(cannot_read)?;
        if metadata.is_dir() {
            anyhow::bail!("{}: cannot read a directory; name the files in it", escape::path(path));
        }
        if metadata.is_file() {
            File::open(path).with_context(cannot_read)?;
        }
        let size = metadata.is_file().then_some(metadata.len());
        let (id, is_replaced) = (FileId::of_path(path), metadata.is_file() && is_replaced(path, &metadata));
        Ok(Self { source, options, path: Some(path.to_owned()), id, is_replaced, size })
    }

    fn into_input(self, progress: &Progress) -> Input {
        Input {
            path: self.path_or_stdin().into(),
            source: self.source,
            options: self.options,
            origin: self.path.map_or(Origin::Stdin, Origin::Path),
            bytes_read: Arc::clone(progress.bytes_read()),
        }
    }

    fn path_or_stdin(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(STDIN))
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        escape::path(self.path_or_stdin())
    }

    /// Whether it is a file on standard input of which another process has read the beginning.
    pub fn is_partly_read(&self) -> io::Result<bool> {
        Ok(self.path.is_none() && self.size.is_some() && stdin_file()?.stream_position()? > 0)
    }
}

/// Whether the regular file that an output to `path` would replace is compressed.
pub fn is_compressed(path: &Path) -> io::Result<bool> {
    if is_dash(path) || !path.metadata()?.is_file() {
        // It is written directly and not replaced.
        return Ok(false);
    }
    let mut head = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(looks_compressed(&head))
}

/// The open file of an output. A write to it waits.
pub type OutputFile = Blocking<Arc<File>>;

#[derive(Debug, Clone)]
pub struct Output {
    /// Its name in messages.
    name: String,
    file: Arc<File>,
    pub is_stdout: bool,
    /// Whether it is a staged file, and not a stream or a device.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "only several processes write at offsets"))]
    is_staged: bool,
}

impl Output {
    /// Opens the output at `path`. `-` and other names of standard output or standard error are written directly; a
    /// file is staged. Fails if the output cannot be written, is one of `inputs`, or is named for two outputs.
    pub fn open(path: &Path, inputs: &Inputs, session: &Session, order: CommitOrder) -> anyhow::Result<Self> {
        inputs.check_output(path)?;
        Self::open_unchecked(path, session, order)
    }

    /// The same without a check against the inputs.
    pub fn open_unchecked(path: &Path, session: &Session, order: CommitOrder) -> anyhow::Result<Self> {
        let name = if is_dash(path) { "stdout".to_owned() } else { escape::path(path) };
        if let Some((file, is_stdout)) = standard_stream(path)? {
            return Ok(Self { name, file, is_stdout, is_staged: false });
        }
        match session.staging.create(path, order) {
            Ok(file) => {
                let is_staged = file.metadata().is_ok_and(|metadata| metadata.is_file());
                Ok(Self { name, file, is_stdout: false, is_staged })
            }
            Err(StageError::DuplicatePath) => usage_error(format!("{name} is named for two outputs")),
            Err(StageError::InRejectsFolder) => {
                usage_error(format!("{name} is in the rejects directory; name another directory"))
            }
            Err(error) => Err(anyhow!("{name}: cannot write: {error}")),
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_stdout && io::stdout().is_terminal()
    }

    pub fn writer(&self) -> OutputFile {
        Blocking(Arc::clone(&self.file))
    }

    /// The staged file, for writes at any offset. `None` for a stream or a device.
    #[cfg(feature = "cluster")]
    pub fn staged_file(&self) -> Option<Arc<File>> {
        self.is_staged.then(|| Arc::clone(&self.file))
    }

    pub fn cannot_write(&self, error: io::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(format!("{}: cannot write", self.name))
    }
}

/// Standard output or standard error if `path` is one of them, and whether it is standard output.
pub fn standard_stream(path: &Path) -> anyhow::Result<Option<(Arc<File>, bool)>> {
    let id = FileId::of_path(path);
    let is = |file: &File| id.is_some() && FileId::of_open(file) == id;
    let stdout = stdout_file().context("stdout")?;
    if is_dash(path) || is(&stdout) {
        return Ok(Some((Arc::new(stdout), true)));
    }
    let stderr = stderr_file().context("stderr")?;
    Ok(is(&stderr).then(|| (Arc::new(stderr), false)))
}
