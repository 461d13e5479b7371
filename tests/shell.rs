//! `adseg completions` and `adseg man`.

mod common;

use common::Scratch;
use predicates::str::{contains, starts_with};

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let assert = Scratch::new().adseg(&format!("completions {shell}")).assert().success();
        assert.stdout(contains("save-loyalty"));
    }
    Scratch::new().adseg("completions tcsh").assert().code(2);
}

#[test]
fn man_prints_the_committed_pages() {
    let scratch = Scratch::new();
    scratch.adseg("man").assert().success().stdout(include_str!("../man/adseg.1"));
    scratch.adseg("man run").assert().success().stdout(include_str!("../man/adseg-run.1"));
    scratch.adseg("man walk").assert().code(2).stderr(starts_with("adseg: there is no subcommand 'walk'"));
}

#[test]
fn man_writes_all_pages_into_a_folder() {
    let scratch = Scratch::new();
    scratch.adseg("man --dir share/man1").assert().success().stdout("");
    assert_eq!(scratch.read("share/man1/adseg-check.1"), include_str!("../man/adseg-check.1"));
}
