//! The campaign file: values for the same arguments as the options of the inputs, which take precedence over it.
//! Each table of the file is read by one function.

use std::path::Path;

use clap::ValueEnum;

use super::args::{near_match, usage_error};
use super::campaign_policy::policy;
use super::file_id::is_dash;
use super::input_args::{ColumnArg, FieldList, InputArgs, TypeArg, column_arg, fields, parse_delimiter, type_arg};
use super::toml_section::{Section, TomlFile};
use crate::campaign::PolicyRules;
use crate::escape::{self, Quoted};
use crate::input::InputFormat;
use crate::record::{Column, SourceKind};

/// Adds the values of the `--campaign` file to the arguments.
pub fn add_campaign_file(args: &mut InputArgs) -> anyhow::Result<()> {
    let Some(path) = &args.campaign else { return Ok(()) };
    let file = CampaignFile::read(path)?;
    args.policy = file.policy.clone();
    file.add_to(args);
    Ok(())
}

/// Adds the input options of two campaign files to the arguments, and returns the rules of each policy. `None` is no
/// file. Fails if the files describe the inputs differently, because the inputs are read once.
pub fn add_two_campaign_files(
    paths: [Option<&Path>; 2],
    args: &mut InputArgs,
) -> anyhow::Result<[Option<PolicyRules>; 2]> {
    let read = |path: Option<&Path>| path.map(CampaignFile::read).transpose();
    let mut files = [read(paths[0])?, read(paths[1])?];
    let rules = files.each_ref().map(|file| file.as_ref().map(|file| file.policy.clone()));
    if let ([Some(old), Some(new)], [Some(old_path), Some(new_path)]) = (&mut files, paths) {
        let tables = [
            ("loyalty", differ(old.loyalty.as_ref(), new.loyalty.as_ref())),
            ("conversions", differ(old.conversions.as_ref(), new.conversions.as_ref())),
        ];
        if let Some((table, _)) = tables.into_iter().find(|(_, differ)| *differ) {
            return usage_error(format!(
                "{} and {} have different tables [{table}], but the inputs are read once; make the tables equal, or \
                 remove one of them",
                escape::path(old_path),
                escape::path(new_path)
            ));
        }
        // Each table is in one file, or is the same in both.
        old.loyalty = old.loyalty.take().or(new.loyalty.take());
        old.conversions = old.conversions.take().or(new.conversions.take());
        new.conversions = None;
        new.loyalty = None;
    }
    files.into_iter().flatten().for_each(|file| file.add_to(args));
    Ok(rules)
}

/// Whether both tables exist and differ.
fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// A campaign file that was read.
struct CampaignFile {
    loyalty: Option<SourceTable>,
    conversions: Option<ConversionsTable>,
    policy: PolicyRules,
}

impl CampaignFile {
    fn read(path: &Path) -> anyhow::Result<Self> {
        if is_dash(path) {
            return usage_error("the campaign file cannot be standard input; name a file");
        }
        let file = TomlFile::read(path)?;
        let mut root = file.root()?;
        let loyalty = root.section("loyalty")?.map(loyalty).transpose()?;
        let conversions = root.section("conversions")?.map(conversions).transpose()?;
        let policy = policy(&mut root)?;
        root.finish()?;
        Ok(Self { loyalty, conversions, policy })
    }

    /// Adds the input options to the arguments.
    fn add_to(self, args: &mut InputArgs) {
        if let Some(loyalty) = self.loyalty {
            add_source(loyalty, SourceKind::Loyalty, args);
        }
        if let Some(conversions) = self.conversions {
            add_conversions(conversions, args);
        }
    }
}

/// The keys that both tables have.
#[derive(PartialEq)]
struct SourceTable {
    format: Option<InputFormat>,
    delimiter: Option<u8>,
    columns: Option<Columns>,
}

enum Columns {
    /// The names of the columns of a header row, or of keys.
    Names(Vec<ColumnArg>),
    /// The columns of files without a header row.
    List(FieldList),
}

struct ConversionsTable {
    source: SourceTable,
    time: Option<String>,
    types: Vec<TypeArg>,
    promo: Option<String>,
}

/// The order of names does not matter, but that of a list of columns does.
impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Names(one), Self::Names(other)) => are_same(one, other),
            (Self::List(one), Self::List(other)) => one == other,
            _ => false,
        }
    }
}

impl PartialEq for ConversionsTable {
    fn eq(&self, other: &Self) -> bool {
        let Self { source, time, types, promo } = self;
        (source, time, promo) == (&other.source, &other.time, &other.promo) && are_same(types, &other.types)
    }
}

/// Whether two slices without duplicates have the same elements.
fn are_same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|element| other.contains(element))
}

fn loyalty(mut table: Section<'_>) -> anyhow::Result<SourceTable> {
    let source = source(&mut table, SourceKind::Loyalty)?;
    table.finish()?;
    Ok(source)
}

fn conversions(mut table: Section<'_>) -> anyhow::Result<ConversionsTable> {
    let source = source(&mut table, SourceKind::Conversions)?;
    let is_list = matches!(source.columns, Some(Columns::List(_)));
    let time = table.parsed("time", |name| match name.trim() {
        _ if is_list => Err("without a header row, write \"time\" in the list of columns instead".to_owned()),
        "" => Err("the name is empty".to_owned()),
        name => Ok(name.to_owned()),
    })?;
    let types = table.section("types")?.map(types).transpose()?.unwrap_or_default();
    let promo = table.parsed("promo", |promo| match promo.trim() {
        "" => Err("the promo is empty".to_owned()),
        promo if promo.contains(char::is_control) => Err("the promo contains a control character".to_owned()),
        promo => Ok(promo.to_owned()),
    })?;
    table.finish()?;
    Ok(ConversionsTable { source, time, types, promo })
}

fn source(table: &mut Section<'_>, source: SourceKind) -> anyhow::Result<SourceTable> {
    let format = table.parsed("format", parse_format)?;
    let delimiter = table.parsed("delimiter", parse_delimiter)?;
    let columns = if table.is_array("columns") {
        let list = table.parsed_list("columns", |field, before| listed_field(source, field, before))?;
        list.map(|list| Columns::List(FieldList(list)))
    } else {
        let names = table.section("columns")?;
        names
            .map(|names| names.into_parsed(|field, name, before| named_field(source, field, name, before)))
            .transpose()?
            .map(Columns::Names)
    };
    Ok(SourceTable { format, delimiter, columns })
}

fn types(mut table: Section<'_>) -> anyhow::Result<Vec<TypeArg>> {
    let mut types: Vec<TypeArg> = Vec::new();
    for kind in ["click", "basket", "purchase", "ignore"] {
        let of_kind = table.parsed_list(kind, |name, _| {
            let arg = type_arg(kind, name)?;
            match types.iter().any(|earlier| earlier.name == arg.name) {
                true => Err(format!("{} is already a name of another type", Quoted(name.as_bytes()))),
                false => Ok(arg),
            }
        })?;
        types.extend(of_kind.unwrap_or_default());
    }
    table.finish()?;
    Ok(types)
}

fn parse_format(text: &str) -> Result<InputFormat, String> {
    InputFormat::from_str(text, false).map_err(|_| {
        let values = InputFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        format!("unknown format {} (expected one of {})", Quoted(text.as_bytes()), names.join(", "))
    })
}

/// An element of a list of columns: a field, `time`, or `-` for a column that is ignored.
fn listed_field(source: SourceKind, field: &str, before: &[Option<Column>]) -> Result<Option<Column>, String> {
    let column = match field.trim() {
        "-" => return Ok(None),
        "time" if source == SourceKind::Conversions => Column::Time,
        field => parse_field(source, field)?,
    };
    match before.contains(&Some(column)) {
        true => Err(format!("the field {} occurs twice", column.name())),
        false => Ok(Some(column)),
    }
}

fn named_field(source: SourceKind, field: &str, name: &str, before: &[ColumnArg]) -> Result<ColumnArg, String> {
    let column = parse_field(source, field)?;
    if before.iter().any(|earlier| earlier.column == column) {
        return Err(format!("the field {} has two names", column.name()));
    }
    column_arg(Some(source), column, name)
}

fn parse_field(source: SourceKind, field: &str) -> Result<Column, String> {
    let column = Column::from_name(field);
    if let Some(column) = fields(source).find(|of| column == Some(*of)) {
        return Ok(column);
    }
    if column == Some(Column::Time) && source == SourceKind::Conversions {
        return Err("the key time of [conversions] names the column with the time".to_owned());
    }
    let only = || format!("the fields are {}", fields(source).map(Column::name).collect::<Vec<_>>().join(", "));
    let near = near_match(field, fields(source).map(Column::name));
    let hint = near.map_or_else(only, |near| format!("did you mean {near}?"));
    Err(format!("unknown field {}; {hint}", Quoted(field.as_bytes())))
}

fn add_source(table: SourceTable, source: SourceKind, args: &mut InputArgs) {
    let tables = &mut args.tables;
    let (format, delimiter, list) = match source {
        SourceKind::Loyalty => (&mut args.loyalty_format, &mut tables.loyalty_delimiter, &mut tables.loyalty_columns),
        SourceKind::Conversions | SourceKind::Interleaved => {
            (&mut args.conversions_format, &mut tables.conversions_delimiter, &mut tables.conversions_columns)
        }
        SourceKind::Suppression => panic!("the campaign file has no table for suppression lists"),
    };
    if args.input_format.is_none() {
        *format = format.or(table.format);
    }
    *delimiter = table.delimiter;
    match table.columns {
        // A list of columns in an option replaces the columns of the file.
        _ if list.is_some() => {}
        None => {}
        Some(Columns::List(columns)) => *list = Some(columns),
        Some(Columns::Names(names)) => {
            let options = tables.column.clone();
            let is_given = |name: &ColumnArg| {
                let gives = |option: &ColumnArg| option.source.is_none_or(|of| of == source);
                options.iter().any(|option| option.column == name.column && gives(option))
            };
            tables.column.extend(names.into_iter().filter(|name| !is_given(name)));
        }
    }
}

fn add_conversions(table: ConversionsTable, args: &mut InputArgs) {
    let lists_time = args.tables.has_times();
    add_source(table.source, SourceKind::Conversions, args);
    let tables = &mut args.tables;
    if !lists_time {
        tables.time_column = table.time;
    }
    for name in table.types {
        // A name in an option keeps the type of the option.
        if tables.types.iter().all(|option| option.name != name.name) {
            tables.types.push(name);
        }
    }
    tables.promo = table.promo;
}
