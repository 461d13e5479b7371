//! The standard streams as files, and the text of I/O errors.

use std::fs::File;
use std::io;

/// Standard input without the buffer of the standard library.
pub fn stdin_file() -> io::Result<File> {
    duplicate(io::stdin())
}

/// Standard output without the line buffer of the standard library, which would write each line separately.
pub fn stdout_file() -> io::Result<File> {
    duplicate(io::stdout())
}

pub fn stderr_file() -> io::Result<File> {
    duplicate(io::stderr())
}

#[cfg(unix)]
fn duplicate(stream: impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate(stream: impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

/// The text of an I/O error without the "(os error 2)" that the standard library appends.
pub fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error ")) {
        Some((words, code)) if code.parse::<i32>().is_ok() => words.to_owned(),
        _ => text,
    }
}

/// Panics if `ADSEG_PANIC_IN` names this step. Only in debug builds, for tests.
#[inline]
pub fn panic_point(step: &str) {
    if cfg!(debug_assertions) && std::env::var_os("ADSEG_PANIC_IN").is_some_and(|wanted| wanted == step) {
        panic!("ADSEG_PANIC_IN={step}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_number_is_left_out() {
        for (error, words) in [
            (io::Error::from_raw_os_error(2), io::Error::from_raw_os_error(2).to_string().replace(" (os error 2)", "")),
            (io::Error::other(io::Error::other("a/b: busy (os error 16)")), "a/b: busy".to_owned()),
            (io::Error::other("damaged (os error unknown)"), "damaged (os error unknown)".to_owned()),
            (io::ErrorKind::NotFound.into(), "entity not found".to_owned()),
        ] {
            assert_eq!(os_error(&error), words);
        }
    }
}
