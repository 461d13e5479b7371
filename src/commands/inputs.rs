//! The two sources as the user named them, checked before anything is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;

use super::files::{FileId, is_dash, is_packed, output_id};
use super::usage::wrong;
use crate::cli::{InputArgs, InputFormatArg};
use crate::messages::shown;
use crate::record::Expected;
use crate::source::{Input, InputFormat, Origin};
use crate::stdio::stdin_file;

/// The inputs of a run, in the order in which they are read.
#[derive(Debug)]
pub struct Inputs(Vec<Named>);

/// One input.
#[derive(Debug)]
struct Named {
    expected: Expected,
    format: InputFormat,
    /// `None` is the standard input.
    path: Option<PathBuf>,
    id: Option<FileId>,
    /// In bytes, where it is known.
    size: Option<u64>,
}

const STDIN: &str = "stdin";
const STDIN_TWICE: &str = "'-' is named twice, and the standard input can be read only once";

impl Inputs {
    /// The loyalty list, then the conversions; or, when both are the standard input, the one stream of both.
    ///
    /// # Errors
    /// When an input is not there, or one file is named for two purposes.
    pub fn new(args: &InputArgs) -> anyhow::Result<Self> {
        let (loyalty, conversions) = (args.loyalty.as_slice(), args.conversions.as_slice());
        let stdins = [loyalty, conversions].map(count_stdin);
        let sources: Vec<(Expected, &PathBuf)> = match (stdins, loyalty, conversions) {
            ([1, 1], [both], [_]) => vec![(Expected::Either, both)],
            ([1, 1], ..) => {
                return wrong(
                    "'-' is named for both sources beside files; name it for one of them, or alone for both to read \
                     one stream of members and conversions",
                );
            }
            ([0..=1, 0..=1], ..) => {
                let loyalty = loyalty.iter().map(|path| (Expected::Customers, path));
                loyalty.chain(conversions.iter().map(|path| (Expected::Conversions, path))).collect()
            }
            _ => return wrong(STDIN_TWICE),
        };
        let inputs = sources.into_iter().map(|(expected, path)| Named::new(expected, format(args, expected)?, path));
        let inputs = Self(inputs.collect::<anyhow::Result<_>>()?);
        inputs.check_sources_differ()?;
        Ok(inputs)
    }

    /// Inputs that all hold the same.
    ///
    /// # Errors
    /// When an input is not there, or the standard input is named twice.
    pub fn of_one_source(paths: &[PathBuf], format: InputFormat) -> anyhow::Result<Self> {
        if count_stdin(paths) > 1 {
            return wrong(STDIN_TWICE);
        }
        let inputs = paths.iter().map(|path| Named::new(Expected::Either, format, path));
        Ok(Self(inputs.collect::<anyhow::Result<_>>()?))
    }

    fn check_sources_differ(&self) -> anyhow::Result<()> {
        let of = |expected| self.0.iter().filter(move |input| input.expected == expected);
        for customers in of(Expected::Customers) {
            if let Some(same) = of(Expected::Conversions).find(|input| input.id.is_some() && input.id == customers.id) {
                return wrong(format!(
                    "{} and {} are the same file; it cannot be both the loyalty list and the conversions",
                    customers.name(),
                    same.name()
                ));
            }
        }
        Ok(())
    }

    /// The name of the input that an output would be written over, if there is one.
    pub fn find_output(&self, path: &Path) -> Option<String> {
        self.find(&output_id(path)?)
    }

    /// The name of the input that is this file, if one is.
    pub fn find(&self, id: &FileId) -> Option<String> {
        self.0.iter().find(|input| input.id.as_ref() == Some(id)).map(Named::name)
    }

    /// Whether this file is an input that could not be read in the same way if it were plain text: as CSV, as nothing but
    /// frames, or packed.
    pub fn is_no_plain_text(&self, id: &FileId) -> bool {
        let same = self.0.iter().find(|input| input.id.as_ref() == Some(id));
        same.is_some_and(|input| {
            matches!(input.format, InputFormat::Csv | InputFormat::Framed)
                || input.path.as_deref().is_some_and(is_packed)
        })
    }

    /// The name of the input that is this file, if one is and it is not a loyalty list.
    pub fn find_conversions(&self, id: &FileId) -> Option<String> {
        let mut inputs = self.0.iter().filter(|input| input.expected != Expected::Customers);
        inputs.find(|input| input.id.as_ref() == Some(id)).map(Named::name)
    }

    /// The inputs that hold conversions: the index of each, and its name.
    pub fn conversions(&self) -> Vec<(usize, String)> {
        let inputs = self.0.iter().enumerate().filter(|(_, input)| input.expected != Expected::Customers);
        inputs.map(|(index, input)| (index, input.name())).collect()
    }

    /// The bytes of all inputs together, where all of them have a size.
    pub fn total_bytes(&self) -> Option<u64> {
        self.0.iter().map(|input| input.size).sum()
    }

    /// The inputs for the library. What is read from them is counted in `meter`.
    pub fn into_inputs(self, meter: &Arc<AtomicU64>) -> Vec<Input> {
        let input = |named: Named| Input {
            name: named.name(),
            expected: named.expected,
            format: named.format,
            origin: named.path.map_or(Origin::Stdin, Origin::Path),
            meter: Arc::clone(meter),
        };
        self.0.into_iter().map(input).collect()
    }
}

fn count_stdin(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| is_dash(path)).count()
}

/// How the inputs that hold `expected` mark their records.
fn format(args: &InputArgs, expected: Expected) -> anyhow::Result<InputFormat> {
    let own = match expected {
        Expected::Customers => args.loyalty_format,
        Expected::Conversions => args.conversions_format,
        Expected::Either => match (args.loyalty_format, args.conversions_format) {
            (None, None) => None,
            _ => return wrong("one stream of members and conversions has one format; say --input-format"),
        },
    };
    match own.unwrap_or(args.input_format) {
        InputFormatArg::Auto => Ok(InputFormat::Auto),
        InputFormatArg::Text => Ok(InputFormat::Text),
        InputFormatArg::Framed => Ok(InputFormat::Framed),
        InputFormatArg::Csv if expected == Expected::Either => {
            wrong("one stream of members and conversions cannot be CSV, which has one header row for all")
        }
        InputFormatArg::Csv => Ok(InputFormat::Csv),
    }
}

impl Named {
    fn new(expected: Expected, format: InputFormat, path: &Path) -> anyhow::Result<Self> {
        if is_dash(path) {
            let stdin = stdin_file().context(STDIN)?;
            let size = stdin.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
            return Ok(Self { expected, format, path: None, id: FileId::of_open(&stdin), size });
        }
        // A missing file is told now, not after a million loyalty rows. A FIFO must not be opened twice.
        let cannot_read = || format!("{}: cannot read", shown(path));
        let metadata = path.metadata().with_context(cannot_read)?;
        if metadata.is_dir() {
            anyhow::bail!("{}: cannot read a folder; name the files in it", shown(path));
        }
        if metadata.is_file() {
            std::fs::File::open(path).with_context(cannot_read)?;
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { expected, format, path: Some(path.to_owned()), id: FileId::of_path(path), size })
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| STDIN.to_owned(), |path| shown(path))
    }
}
