//! `adseg completions`.

mod common;

use common::Scratch;
use predicates::str::contains;

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let assert = Scratch::new().adseg(&format!("completions {shell}")).assert().success();
        assert.stdout(contains("save-loyalty"));
    }
    Scratch::new().adseg("completions tcsh").assert().code(2);
}
