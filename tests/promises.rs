//! The README's chapter "What adseg promises" names a test for each promise; every one of them exists.

use std::fs;
use std::path::Path;

/// The second column of the chapter's table, for every row that has one.
fn named_tests(readme: &str) -> Vec<String> {
    let chapter = readme.split("\n## What adseg promises\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let tests = rows.filter_map(|row| row.rsplit_once(" | ")).map(|(_promise, test)| test.trim().to_owned());
    tests.filter(|test| !test.is_empty() && test != "test").collect()
}

/// Whether `source` has a test of this name that is run.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
    place.is_some_and(|place| {
        let attributes =
            lines[..place].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        let attributes: Vec<_> = attributes.collect();
        attributes.contains(&&"#[test]") && !attributes.iter().any(|attribute| attribute.starts_with("#[ignore"))
    })
}

#[test]
fn every_promise_in_the_readme_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = named_tests(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(tests.len() > 40, "where are the promises?");
    for test in tests {
        let names: Vec<_> = test.split('`').skip(1).step_by(2).collect();
        match names[..] {
            [fixture] => assert!(
                fixture.starts_with("fixtures/")
                    && root.join(fixture).join("args.txt").exists() | root.join(fixture).join("expected.txt").exists(),
                "{test}"
            ),
            [file, name] => {
                let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(has_test(&source, name), "{test}");
            }
            _ => panic!("what is {test}?"),
        }
    }
}
