//! Messages for the person at the shell, on the standard error.

use std::io::{self, Write};
use std::path::Path;

/// Writes a line to the standard error. When that fails there is nobody left who could be told.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A file's name as messages show it: nothing in it can break the line or steer a terminal.
pub fn shown(path: &Path) -> String {
    let name = path.display().to_string();
    let escaped = |char: char| if char.is_control() { char.escape_debug().to_string() } else { char.to_string() };
    name.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_cannot_forge_a_message() {
        assert_eq!(shown(Path::new("käse \"a\"\nadseg: fine\x1b[31m")), "käse \"a\"\\nadseg: fine\\u{1b}[31m");
    }
}
