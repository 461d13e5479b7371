//! `adseg man`, and the man pages in `man/`, which are generated from the arguments.
//!
//! To write them again, run with `UPDATE_MAN=1`.

mod common;

use std::fs;
use std::path::Path;

use common::{Scratch, assert_same};
use predicates::str::starts_with;

#[test]
fn committed_man_pages_are_up_to_date() {
    let scratch = Scratch::new();
    scratch.adseg("man --dir share/man1").assert().success().stdout("");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let pages = scratch.names_in("share/man1");
    for page in &pages {
        let generated = fs::read(scratch.file("share/man1").join(page)).unwrap();
        if std::env::var_os("UPDATE_MAN").is_some() {
            fs::write(committed.join(page), &generated).unwrap();
        }
        let committed = fs::read(committed.join(page)).unwrap_or_default();
        let remedy = format!("man/{page} is out of date; update it with UPDATE_MAN=1 cargo test --test man");
        assert_same(committed, generated, &remedy);
    }
    for entry in fs::read_dir(committed).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&name), "man/{name} belongs to no subcommand");
    }
}

#[test]
fn man_prints_the_committed_pages() {
    let scratch = Scratch::new();
    scratch.adseg("man").assert().success().stdout(include_str!("../man/adseg.1"));
    scratch.adseg("man run").assert().success().stdout(include_str!("../man/adseg-run.1"));
    scratch.adseg("man walk").assert().code(2).stderr(starts_with("adseg: unknown subcommand 'walk'"));
}
