//! The campaign file: values for the same arguments as the options of the inputs, which take precedence over it.
//! Each table of the file is read by one function.

use clap::ValueEnum;

use super::args::{near_match, usage_error};
use super::campaign_policy::policy;
use super::file_id::is_dash;
use super::input_args::{ColumnArg, FieldList, InputArgs, TypeArg, column_arg, fields, parse_delimiter, type_arg};
use super::toml_section::{Section, TomlFile};
use crate::escape::Quoted;
use crate::input::InputFormat;
use crate::record::{Column, SourceKind};

/// Adds the values of the `--campaign` file to the arguments.
pub fn add_campaign_file(args: &mut InputArgs) -> anyhow::Result<()> {
    let Some(path) = &args.campaign else { return Ok(()) };
    if is_dash(path) {
        return usage_error("the campaign file cannot be standard input; name a file");
    }
    let file = TomlFile::read(path)?;
    let mut root = file.root()?;
    let loyalty = root.section("loyalty")?.map(loyalty).transpose()?;
    let conversions = root.section("conversions")?.map(conversions).transpose()?;
    args.policy = policy(&mut root)?;
    root.finish()?;
    if let Some(loyalty) = loyalty {
        add_source(loyalty, SourceKind::Loyalty, args);
    }
    if let Some(conversions) = conversions {
        add_conversions(conversions, args);
    }
    Ok(())
}

/// The keys that both tables have.
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
        SourceKind::Conversions | SourceKind::Interleaved | SourceKind::Suppression => {
            (&mut args.conversions_format, &mut tables.conversions_delimiter, &mut tables.conversions_columns)
        }
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
