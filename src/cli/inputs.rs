//! The inputs as the user named them, checked before anything is read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::args::InputArgs;
use super::session::Progress;
use super::usage_error;
use crate::escape;
use crate::input::{Input, InputFormat, Origin, looks_compressed};
use crate::record::SourceKind;
use crate::system::{stdin_file, stdout_file};

/// The inputs of a command, in the order in which they are read.
#[derive(Debug)]
pub struct Inputs(Vec<NamedInput>);

#[derive(Debug)]
struct NamedInput {
    source: SourceKind,
    format: InputFormat,
    /// `None` is standard input.
    path: Option<PathBuf>,
    id: Option<FileId>,
    /// In bytes, where it is known.
    size: Option<u64>,
}

const STDIN: &str = "stdin";
const STDIN_TWICE: &str = "'-' is named twice, and standard input can be read only once";

impl Inputs {
    /// The loyalty list, then the conversions; or, when both are standard input, the one stream of both.
    ///
    /// # Errors
    /// When an input does not exist, or one file is named for two purposes.
    pub fn new(args: &InputArgs) -> anyhow::Result<Self> {
        let (loyalty, conversions) = (args.loyalty.as_slice(), args.conversions.as_slice());
        let sources: Vec<(SourceKind, &PathBuf)> = match ([loyalty, conversions].map(count_stdin), loyalty, conversions)
        {
            ([1, 1], [both], [_]) => vec![(SourceKind::Interleaved, both)],
            ([1, 1], ..) => {
                return usage_error(
                    "'-' is named for both sources and beside files; name it for one of them, or alone for both to \
                         read one stream of members and conversions",
                );
            }
            ([0..=1, 0..=1], ..) => {
                let loyalty = loyalty.iter().map(|path| (SourceKind::Loyalty, path));
                loyalty.chain(conversions.iter().map(|path| (SourceKind::Conversions, path))).collect()
            }
            _ => return usage_error(STDIN_TWICE),
        };
        let named = |(source, path): (SourceKind, &PathBuf)| NamedInput::new(source, format(args, source)?, path);
        let inputs = Self(sources.into_iter().map(named).collect::<anyhow::Result<_>>()?);
        inputs.check_sources_differ()?;
        Ok(inputs)
    }

    /// Inputs that all contain the same.
    pub fn single_source(paths: &[PathBuf], format: InputFormat) -> anyhow::Result<Self> {
        if count_stdin(paths) > 1 {
            return usage_error(STDIN_TWICE);
        }
        let inputs = paths.iter().map(|path| NamedInput::new(SourceKind::Interleaved, format, path));
        Ok(Self(inputs.collect::<anyhow::Result<_>>()?))
    }

    fn check_sources_differ(&self) -> anyhow::Result<()> {
        let of = |source| self.0.iter().filter(move |input| input.source == source);
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

    fn get(&self, id: &FileId) -> Option<&NamedInput> {
        self.0.iter().find(|input| input.id.as_ref() == Some(id))
    }

    /// The name of the input that is this file, if one is.
    pub fn find(&self, id: &FileId) -> Option<String> {
        self.get(id).map(NamedInput::name)
    }

    /// Whether this file is an input that could not be read in the same way if it were plain text: as CSV, as frames only, or
    /// compressed.
    pub fn is_not_plain_text(&self, id: &FileId) -> bool {
        self.get(id).is_some_and(|input| {
            matches!(input.format, InputFormat::Csv | InputFormat::Framed)
                || input.path.as_deref().is_some_and(is_compressed)
        })
    }

    /// The name of the input that is this file, if one is and it contains conversions.
    pub fn find_conversions(&self, id: &FileId) -> Option<String> {
        let mut inputs = self.0.iter().filter(|input| input.source != SourceKind::Loyalty);
        inputs.find(|input| input.id.as_ref() == Some(id)).map(NamedInput::name)
    }

    /// The inputs that contain conversions: the index of each, and its name.
    pub fn conversions(&self) -> Vec<(usize, String)> {
        let inputs = self.0.iter().enumerate().filter(|(_, input)| input.source != SourceKind::Loyalty);
        inputs.map(|(index, input)| (index, input.name())).collect()
    }

    /// The bytes of all inputs together, if all of them have a size.
    pub fn total_bytes(&self) -> Option<u64> {
        self.0.iter().map(|input| input.size).sum()
    }

    /// The inputs for the library. `progress` counts what is read from them.
    pub fn into_inputs(self, progress: &Progress) -> Vec<Input> {
        let input = |named: NamedInput| Input {
            name: named.name().into(),
            source: named.source,
            format: named.format,
            origin: named.path.map_or(Origin::Stdin, Origin::Path),
            bytes_read: Arc::clone(progress.bytes_read()),
        };
        self.0.into_iter().map(input).collect()
    }
}

fn count_stdin(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| is_dash(path)).count()
}

/// The format of the inputs of this source.
fn format(args: &InputArgs, source: SourceKind) -> anyhow::Result<InputFormat> {
    let own = match source {
        SourceKind::Loyalty => args.loyalty_format,
        SourceKind::Conversions => args.conversions_format,
        SourceKind::Interleaved => match (args.loyalty_format, args.conversions_format) {
            (None, None) => None,
            _ => return usage_error("one stream of members and conversions has one format; use --input-format"),
        },
    };
    match own.unwrap_or(args.input_format) {
        InputFormat::Csv if source == SourceKind::Interleaved => {
            usage_error("one stream of members and conversions cannot be CSV, which has one header row for all")
        }
        format => Ok(format),
    }
}

impl NamedInput {
    fn new(source: SourceKind, format: InputFormat, path: &Path) -> anyhow::Result<Self> {
        if is_dash(path) {
            let stdin = stdin_file().context(STDIN)?;
            let size = stdin.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
            return Ok(Self { source, format, path: None, id: FileId::of_open(&stdin), size });
        }
        // A missing file is reported now, not after a million loyalty rows. A FIFO must not be opened twice.
        let cannot_read = || format!("{}: cannot read", escape::path(path));
        let metadata = path.metadata().with_context(cannot_read)?;
        if metadata.is_dir() {
            anyhow::bail!("{}: cannot read a folder; name the files in it", escape::path(path));
        }
        if metadata.is_file() {
            File::open(path).with_context(cannot_read)?;
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { source, format, path: Some(path.to_owned()), id: FileId::of_path(path), size })
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| STDIN.to_owned(), |path| escape::path(path))
    }
}

/// A file that could be damaged by being used twice: a regular file or a FIFO, but not a device or a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// The file at `path`; `None` when there is none or it cannot be damaged.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of(&path.metadata().ok()?, || path.canonicalize())
    }

    /// The file behind an open one, such as standard input.
    pub fn of_open(file: &File) -> Option<Self> {
        Self::of(&file.metadata().ok()?, || Err(io::ErrorKind::NotFound.into()))
    }

    /// The file that an output would go to, if there is one already.
    pub fn of_output(path: &Path) -> Option<Self> {
        if is_dash(path) { Self::of_open(&stdout_file().ok()?) } else { Self::of_path(path) }
    }

    #[cfg(unix)]
    fn of(metadata: &Metadata, _path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let can_be_damaged = metadata.is_file() || metadata.file_type().is_fifo();
        can_be_damaged.then(|| Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata, path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        metadata.is_file().then(path)?.ok().map(Self)
    }
}

/// Whether a regular file is a gzip or zstd archive, according to its first bytes.
fn is_compressed(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
    read.is_ok() && looks_compressed(&head)
}

/// Whether `path` stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
