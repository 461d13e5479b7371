//! The rules of the policy in the campaign file.

use std::collections::HashSet;

use super::toml_section::Section;
use crate::campaign::{Holdout, Once, PolicyRules};
use crate::escape::Quoted;

/// Reads the keys of the top level and the tables that state the policy.
pub fn policy(root: &mut Section<'_>) -> anyhow::Result<PolicyRules> {
    root.check_not_empty("promos", "the list is empty; without this key, all promos get codes")?;
    let mut seen = HashSet::new();
    let promos = root.parsed_list("promos", |promo, _| match promo.trim() {
        "" => Err("a promo is empty".to_owned()),
        promo if !seen.insert(promo.to_owned()) => Err(format!("the promo {} occurs twice", Quoted(promo.as_bytes()))),
        promo => Ok(promo.to_owned()),
    })?;
    let once = root.parsed("once", |text| {
        let unknown = || format!("unknown value {} (expected promo, customer or never)", Quoted(text.as_bytes()));
        Once::ALL.into_iter().find(|once| once.name() == text).ok_or_else(unknown)
    })?;
    let ignores_case = match root.section("match")? {
        None => false,
        Some(mut table) => {
            let ignores_case = table.boolean("ignore_case")?;
            table.finish()?;
            ignores_case.unwrap_or(false)
        }
    };
    let holdout = root.section("holdout")?.map(holdout).transpose()?;
    let withholds = root.section("codes")?.map(withholds).transpose()?.unwrap_or(false);
    Ok(PolicyRules { promos, once, ignores_case, holdout, withholds })
}

fn holdout(mut table: Section<'_>) -> anyhow::Result<Holdout> {
    let key = table.parsed("key", |key| match key {
        "" => Err("the key is empty".to_owned()),
        key if key.contains(|char: char| char.is_control() || char == '"') => {
            Err("the key contains a quote or a control character".to_owned())
        }
        key => Ok(key.to_owned()),
    })?;
    let holdout = table.parsed_number("percent", |percent| {
        let holdout = Holdout::new(percent, key.as_deref().unwrap_or_default());
        holdout.map_err(|error| format!("{error}, found {}", Quoted(percent.as_bytes())))
    })?;
    let missing = table.missing(if key.is_none() { "key" } else { "percent" });
    // An unknown key may be a misspelled one.
    table.finish()?;
    holdout.filter(|_| key.is_some()).ok_or(missing)
}

/// Whether a click for which no code is left is withheld.
fn withholds(mut table: Section<'_>) -> anyhow::Result<bool> {
    let withholds = table.parsed("when_exhausted", |text| match text {
        "fail" => Ok(false),
        "withhold" => Ok(true),
        other => Err(format!("unknown value {} (expected fail or withhold)", Quoted(other.as_bytes()))),
    })?;
    table.finish()?;
    Ok(withholds.unwrap_or(false))
}
