//! Prints a campaign file: how the inputs are read, according to the options and to the start of each input, and the
//! rules of the policy. A run with that file and without those options gives the same results.

use std::fmt::Write;
use std::sync::Arc;

use super::input_args::fields;
use crate::campaign::PolicyRules;
use crate::escape::is_misleading;
use crate::input::{Format, Input, InputError, InputFormat, ReadOptions, ReaderSettings, format_of};
use crate::record::column::normalized;
use crate::record::{Column, ConversionKind, SourceKind};

/// The campaign file for these inputs and rules. Only the start of each input is read.
pub fn campaign_file(inputs: Vec<Input>, settings: ReaderSettings, policy: &PolicyRules) -> Result<String, InputError> {
    let mut starts = Vec::new();
    for input in inputs {
        let (source, options) = (input.source, Arc::clone(&input.options));
        starts.push(Start { source, options, format: format_of(input, settings)? });
    }
    // Keys after the header of a table would be in that table.
    let mut toml = policy_keys(policy);
    for (name, source) in [("loyalty", SourceKind::Loyalty), ("conversions", SourceKind::Conversions)] {
        let of_source: Vec<_> =
            starts.iter().filter(|start| start.source == source || start.source == SourceKind::Interleaved).collect();
        let separator = if toml.is_empty() { "" } else { "\n" };
        write!(toml, "{separator}[{name}]\n{}", table(source, &of_source)).expect("writing to memory cannot fail");
    }
    toml += &policy_tables(policy);
    Ok(toml)
}

/// The keys of the policy outside tables.
fn policy_keys(PolicyRules { promos, once, .. }: &PolicyRules) -> String {
    let promos = promos.iter().map(|promos| format!("promos = {}\n", strings(promos.iter().map(String::as_str))));
    let once = once.iter().map(|once| format!("once = {}\n", string(once.name())));
    promos.chain(once).collect()
}

/// The tables of the policy.
fn policy_tables(PolicyRules { ignores_case, holdout, withholds, .. }: &PolicyRules) -> String {
    let mut tables = String::new();
    if *ignores_case {
        tables += "\n[match]\nignore_case = true\n";
    }
    if let Some(holdout) = holdout {
        tables += &format!("\n[holdout]\npercent = {}\nkey = {}\n", string(holdout.percent()), string(holdout.key()));
    }
    if *withholds {
        tables += "\n[codes]\nwhen_exhausted = \"withhold\"\n";
    }
    tables
}

/// The start of an input.
struct Start {
    source: SourceKind,
    options: Arc<ReadOptions>,
    /// `None` if it is empty.
    format: Option<Format>,
}

/// The keys of a table. All inputs of a source have the same options.
fn table(source: SourceKind, starts: &[&Start]) -> String {
    let options = &starts.first().expect("every source has an input").options;
    let formats: Vec<&Format> = starts.iter().filter_map(|start| start.format.as_ref()).collect();
    let mut keys = format_key(options, &formats);
    let mut key = |name: &str, value: String| {
        writeln!(keys, "{name} = {value}").expect("writing to memory cannot fail");
    };
    if let Some(delimiter) = options.delimiter.or_else(|| same(&formats, delimiter)) {
        key("delimiter", if delimiter == b'\t' { string("tab") } else { string(&char::from(delimiter).to_string()) });
    }
    if let Some(columns) = &options.columns {
        key("columns", strings(columns.iter().map(|column| column.map_or("-", Column::name))));
    } else {
        let name =
            |column: Column| Some(format!("{} = {}", column.name(), string(&name_of(column, options, &formats)?)));
        let names: Vec<_> = fields(source).filter_map(name).collect();
        if !names.is_empty() {
            key("columns", format!("{{ {} }}", names.join(", ")));
        }
    }
    if source == SourceKind::Conversions {
        if let Some((_, time)) = options.column_names.iter().find(|(column, _)| *column == Column::Time) {
            key("time", string(time));
        }
        let types = types(options);
        if !types.is_empty() {
            key("types", format!("{{ {} }}", types.join(", ")));
        }
        if let Some(promo) = &options.rules.promo {
            key("promo", string(promo));
        }
    }
    keys
}

/// The line with the format. Text that was detected is a comment: with `format = "text"` the next input would be read
/// as text without a check.
fn format_key(options: &ReadOptions, formats: &[&Format]) -> String {
    let name = |format: InputFormat| clap::ValueEnum::to_possible_value(&format).expect("no format is hidden");
    let mut detected: Vec<InputFormat> = Vec::new();
    for format in formats.iter().map(|format| input_format(format)) {
        if !detected.contains(&format) {
            detected.push(format);
        }
    }
    match (options.format, detected[..].first()) {
        (InputFormat::Auto, None) => String::new(),
        (InputFormat::Auto, Some(&one)) if detected.len() == 1 && one != InputFormat::Text => {
            format!("format = \"{}\"\n", name(one).get_name())
        }
        (InputFormat::Auto, Some(_)) => {
            let names: Vec<_> = detected.into_iter().map(|format| name(format).get_name().to_owned()).collect();
            format!("# detected: {}\n", names.join(", "))
        }
        (given, _) => format!("format = \"{}\"\n", name(given).get_name()),
    }
}

const fn input_format(format: &Format) -> InputFormat {
    match format {
        Format::Text => InputFormat::Text,
        Format::Framed => InputFormat::Framed,
        Format::Csv(_) => InputFormat::Csv,
        Format::JsonLines(_) => InputFormat::Jsonl,
    }
}

fn delimiter(format: &Format) -> Option<u8> {
    match format {
        Format::Csv(header) => Some(header.delimiter),
        Format::Text | Format::Framed | Format::JsonLines(_) => None,
    }
}

/// The value that all formats share; `None` if they differ or one has none.
fn same<T: PartialEq>(formats: &[&Format], value: impl Fn(&Format) -> Option<T>) -> Option<T> {
    let first = value(formats.first()?)?;
    formats.iter().all(|format| value(format).as_ref() == Some(&first)).then_some(first)
}

/// The name of the column or key of a field, from an option or from the header rows, if they agree.
fn name_of(column: Column, options: &ReadOptions, formats: &[&Format]) -> Option<String> {
    if let Some((_, name)) = options.column_names.iter().find(|(of, _)| *of == column) {
        return Some(name.clone());
    }
    let in_header = |format: &Format| match format {
        Format::Csv(header) => header.saved_columns().into_iter().find(|saved| saved.column == Some(column)),
        Format::Text | Format::Framed | Format::JsonLines(_) => None,
    };
    same(formats, |format| in_header(format).map(|saved| normalized(&saved.name)))?;
    let saved = in_header(formats.first()?)?;
    Some(String::from_utf8(saved.name).expect("a name that matches a default name is UTF-8"))
}

/// The names of each conversion type.
fn types(options: &ReadOptions) -> Vec<String> {
    let types = &options.rules.types;
    let kinds = [
        ("click", Some(ConversionKind::Click)),
        ("basket", Some(ConversionKind::Basket)),
        ("purchase", Some(ConversionKind::Purchase)),
        ("ignore", None),
    ];
    let of_kind = |(key, kind): (&str, Option<ConversionKind>)| {
        let named = types.names.iter().filter(|(_, of)| *of == kind);
        let names = named.map(|(name, _)| str::from_utf8(name).expect("a name in an option is UTF-8"));
        let others = (kind.is_none() && types.ignores_others).then_some("*");
        let names: Vec<_> = names.chain(others).collect();
        (!names.is_empty()).then(|| format!("{key} = {}", strings(names.into_iter())))
    };
    kinds.into_iter().filter_map(of_kind).collect()
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(string).collect::<Vec<_>>().join(", "))
}

/// A TOML string. Misleading characters are escaped.
fn string(text: &str) -> String {
    let mut toml = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => toml.extend(['\\', char]),
            '\t' => toml.push_str("\\t"),
            char if is_misleading(char) && u32::from(char) > 0xffff => toml += &format!("\\U{:08x}", u32::from(char)),
            char if is_misleading(char) => toml += &format!("\\u{:04x}", u32::from(char)),
            char => toml.push(char),
        }
    }
    toml.push('"');
    toml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_is_read_back_unchanged() {
        let all: String = (0..0x3000).chain(0xe0000..0xe0080).filter_map(char::from_u32).collect();
        for text in ["", "plain", "a \"b\" \\ 'c'", "tab\tline\nend\r", "\u{202e}\u{e0041}é😀", &all] {
            let toml = format!("key = {}", string(text));
            assert!(!toml.contains(is_misleading));
            let table = toml::de::DeTable::parse(&toml).unwrap();
            assert_eq!(table.get_ref()["key"].get_ref().as_str(), Some(text));
        }
    }
}
