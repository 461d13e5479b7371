//! The emails that a user asks for, on the command line or in a file, in the form that the data's emails have.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::files::is_dash;
use super::usage::wrong;
use crate::cli::{ExplainArgs, InputArgs};
use crate::messages::shown;
use crate::record::field::trim;
use crate::record::{Email, RecordError};
use crate::source::BYTE_ORDER_MARK;
use crate::stdio::stdin_file;

/// The emails that are asked for, in order, each once. Emails that the sources' options swallowed are taken from them.
///
/// # Errors
/// When none is asked for, one of them is no email, or the file of emails cannot be read.
pub fn take_emails(args: &mut ExplainArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut named = std::mem::take(&mut args.named);
    if named.is_empty() && args.emails.is_none() {
        named = swallowed(&mut args.reading.inputs);
        if named.is_empty() {
            return wrong("no email is named; name one as the first argument, or a file of them with --emails FILE");
        }
    }
    let mut emails = Vec::new();
    for name in &named {
        match parse(name.as_encoded_bytes()) {
            Ok(email) => emails.push(email.as_bytes().to_vec()),
            Err(error) => return wrong(error.to_string()),
        }
    }
    if let Some(path) = &args.emails {
        emails.extend(read(path, &args.reading.inputs)?);
    }
    let mut seen = std::collections::HashSet::new();
    emails.retain(|email| seen.insert(email.clone()));
    Ok(emails)
}

/// The options of the sources take any number of files, and with them whatever is typed behind. At least one file is
/// left to each, so that a missing one is told as such.
fn swallowed(inputs: &mut InputArgs) -> Vec<OsString> {
    let is_email = |path: &PathBuf| path.as_os_str().as_encoded_bytes().contains(&b'@') && !path.exists();
    for files in [&mut inputs.conversions, &mut inputs.loyalty] {
        let last_file = files.iter().rposition(|path| !is_email(path)).unwrap_or_default();
        let emails = files.split_off(files.len().min(last_file + 1));
        if !emails.is_empty() {
            return emails.into_iter().map(PathBuf::into_os_string).collect();
        }
    }
    Vec::new()
}

fn read(path: &Path, inputs: &InputArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let (name, bytes) = if is_dash(path) {
        if inputs.loyalty.iter().chain(&inputs.conversions).any(|path| is_dash(path)) {
            return wrong("'-' is named for the emails and for a source, and the standard input can be read only once");
        }
        ("stdin".to_owned(), read_stdin())
    } else {
        (shown(path), fs::read(path))
    };
    let bytes = bytes.with_context(|| format!("{name}: cannot read"))?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !trim(line).is_empty());
    let emails = lines.map(|(index, line)| match parse(line) {
        Ok(email) => Ok(email.as_bytes().to_vec()),
        Err(error) => Err(anyhow!("{name}:{}: {error}", index + 1)),
    });
    emails.collect()
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdin_file()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An email with a comma would never be found: in the data it ends there.
fn parse(name: &[u8]) -> Result<Email<'_>, RecordError<'_>> {
    Email::parse_unsplit(trim(name))
}
