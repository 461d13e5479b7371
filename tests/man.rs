//! The man pages say what the command line takes. They are made from the same types as `--help`.
//!
//! To write them anew, run with `UPDATE_MAN=1`.

use std::fs;
use std::path::Path;

#[test]
fn the_man_pages_are_what_the_command_line_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let pages = adseg::man::pages().unwrap();
    if std::env::var_os("UPDATE_MAN").is_some() {
        for page in &pages {
            fs::write(folder.join(&page.file_name), &page.roff).unwrap();
        }
    }
    for page in &pages {
        let committed = fs::read(folder.join(&page.file_name)).unwrap_or_default();
        assert!(
            committed == page.roff,
            "man/{} is stale; write it anew with UPDATE_MAN=1 cargo test --test man",
            page.file_name
        );
    }
    let committed = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in committed {
        assert!(pages.iter().any(|page| page.file_name == name), "man/{name} belongs to no command");
    }
}
