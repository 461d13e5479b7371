//! The arguments that name the inputs and define how they are read.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::args::{MaxRecordBytes, usage_error};
use crate::campaign::PolicyRules;
use crate::escape::{self, Quoted};
use crate::input::{InputFormat, ReadOptions};
use crate::record::column::normalized;
use crate::record::{Column, ConversionKind, SourceKind, TableRules, Time, TimeWindow, TypeNames};

#[derive(Debug, Args)]
pub struct InputArgs {
    /// The loyalty list; several files are read in the order given; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub loyalty: Vec<PathBuf>,

    /// The conversions; several files are read in the order given, as if they were one; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub conversions: Vec<PathBuf>,

    /// Read the input options and the policy from a TOML file; options on the command line take precedence
    ///
    /// The file has the tables [loyalty] and [conversions] with the keys format, delimiter and columns; [conversions]
    /// also has time, types and promo. The rules of the policy are the keys promos and once, and the tables [match]
    /// (ignore_case), [holdout] (percent, key) and [codes] (when_exhausted). check and order-check do not apply the
    /// policy. `adseg check --print-campaign` prints such a file.
    #[arg(long, value_name = "FILE", help_heading = "Inputs")]
    pub campaign: Option<PathBuf>,

    /// The format of the inputs, detected from the first line of each; gzip and zstd are decompressed in any format
    /// [default: auto]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Inputs")]
    pub input_format: Option<InputFormat>,

    /// The format of the loyalty list, if different from --input-format
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, help_heading = "Inputs")]
    pub loyalty_format: Option<InputFormat>,

    /// The format of the conversions, if different from --input-format
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, help_heading = "Inputs")]
    pub conversions_format: Option<InputFormat>,

    #[command(flatten)]
    pub max_record_bytes: MaxRecordBytes,

    #[command(flatten)]
    pub tables: TableArgs,

    /// The rules of the policy, which only the campaign file has.
    #[arg(skip)]
    pub policy: PolicyRules,
}

/// How CSV, TSV and JSON Lines are read. The campaign file adds to these values; the fields that clap skips are set
/// only by the file.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Read FIELD from the column or key NAME, such as email=customer_email; may be repeated
    ///
    /// The fields are email, fb_user, insta_user, gender, promo, conversion, where, items and total_cost. Case, spaces,
    /// `_` and `-` in names are ignored, so `Total Cost` needs no mapping. In JSON Lines, a dot selects a key of a
    /// nested object: email=user.email. The option applies to both sources; loyalty.email=mail and
    /// conversions.email=mail apply to one. The name `-` ignores a field, for example items=- if the items are not a
    /// list of ids.
    #[arg(long, value_name = "FIELD=NAME", value_parser = parse_column, help_heading = "CSV and JSON Lines")]
    pub column: Vec<ColumnArg>,

    /// The delimiter of CSV: an ASCII character or `tab` [default: detected from , ; tab and |]
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter, help_heading = "CSV and JSON Lines")]
    pub delimiter: Option<u8>,

    #[arg(skip)]
    pub loyalty_delimiter: Option<u8>,

    #[arg(skip)]
    pub conversions_delimiter: Option<u8>,

    /// Read a loyalty list without a header row; FIELDS are its columns in order, such as email,-,insta_user
    ///
    /// `-` ignores a column. For a file with one email per line, FIELDS is email.
    #[arg(long, value_name = "FIELDS", value_parser = parse_columns, help_heading = "CSV and JSON Lines")]
    #[arg(allow_hyphen_values = true)]
    pub loyalty_columns: Option<FieldList>,

    /// Read conversions without a header row; FIELDS are their columns in order, such as time,email,conversion
    ///
    /// `-` ignores a column. The field `time` is the time of the conversion, as with --time-column.
    #[arg(long, value_name = "FIELDS", value_parser = parse_columns, help_heading = "CSV and JSON Lines")]
    #[arg(allow_hyphen_values = true)]
    pub conversions_columns: Option<FieldList>,

    /// Accept NAME as a conversion type, such as click=ad_click or ignore=page_view; may be repeated
    ///
    /// The types are click, basket and purchase. Conversions whose type is ignored get no decision and are counted as
    /// ignored. ignore=* ignores every unknown type, including misspelled ones.
    #[arg(long = "type", value_name = "TYPE=NAME", value_parser = parse_type, help_heading = "CSV and JSON Lines")]
    pub types: Vec<TypeArg>,

    #[arg(skip)]
    pub promo: Option<String>,

    /// Read the time of each conversion from the column or key NAME, and require that times do not go back
    ///
    /// A time is RFC 3339, a date such as 2024-05-01, `2024-05-01 10:00:00` in UTC, or seconds or milliseconds since
    /// 1970. A conversion that is earlier than the one before it ends the run, unless --allow-disorder is set.
    #[arg(long, value_name = "NAME", help_heading = "Time")]
    pub time_column: Option<String>,

    /// Decide only conversions at or after TIME; earlier purchases still make their customers members
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Time")]
    since: Option<Time>,

    /// Decide only conversions before TIME
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Time")]
    until: Option<Time>,

    /// Accept times that go back, and decide in the order of the files
    #[arg(long, help_heading = "Time")]
    pub allow_disorder: bool,
}

/// A field and the name of its column, for one source or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnArg {
    pub source: Option<SourceKind>,
    pub column: Column,
    pub name: String,
}

/// The fields of the columns of a file without a header row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldList(pub Vec<Option<Column>>);

/// A name of a conversion type; `None` is a type that is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeArg {
    pub kind: Option<ConversionKind>,
    pub name: String,
}

impl TableArgs {
    /// Whether a column contains the times of the conversions.
    pub fn has_times(&self) -> bool {
        let columns = self.conversions_columns.as_ref();
        self.time_column.is_some() || columns.is_some_and(|FieldList(columns)| columns.contains(&Some(Column::Time)))
    }

    /// The names that `--column` gives the fields of a source. A name for both sources does not apply to a source with a
    /// list of columns. Fails if two of them contradict each other.
    fn column_names(&self, source: SourceKind, has_list: bool) -> anyhow::Result<Vec<(Column, String)>> {
        let applies = |arg: &&ColumnArg| {
            let names_source = match arg.source {
                None => !has_list,
                Some(of) => of == source || source == SourceKind::Interleaved,
            };
            names_source && has_field(source, arg.column)
        };
        let mut column_names: Vec<(Column, String)> = Vec::new();
        for arg in self.column.iter().filter(applies) {
            let named = (arg.column, arg.name.clone());
            if !column_names.contains(&named) {
                column_names.push(named);
            }
        }
        if let Some(first) = column_names.iter().enumerate().find_map(|(index, (column, _))| {
            column_names[..index].iter().any(|(earlier, _)| earlier == column).then_some(*column)
        }) {
            return usage_error(format!("--column gives the field {} two names", first.name()));
        }
        let names = || column_names.iter().map(|(_, name)| normalized(name.as_bytes())).filter(|name| name != b"");
        if let Some((_, name)) = names().enumerate().find(|(index, name)| names().take(*index).any(|one| one == *name))
        {
            return usage_error(format!("--column gives the name {} to two fields", Quoted(&name)));
        }
        Ok(column_names)
    }
}

impl InputArgs {
    /// How the inputs of a source are read. Fails if options contradict each other.
    pub fn read_options(&self, source: SourceKind) -> anyhow::Result<ReadOptions> {
        let TableArgs { column, delimiter, loyalty_columns, conversions_columns, time_column, .. } = &self.tables;
        let (own_format, columns, own_delimiter) = match source {
            SourceKind::Loyalty => (self.loyalty_format, loyalty_columns, self.tables.loyalty_delimiter),
            SourceKind::Conversions => {
                (self.conversions_format, conversions_columns, self.tables.conversions_delimiter)
            }
            SourceKind::Interleaved if self.loyalty_format != self.conversions_format => {
                return usage_error("an interleaved stream has only one format; use --input-format");
            }
            SourceKind::Interleaved if loyalty_columns.is_some() || conversions_columns.is_some() => {
                return usage_error("an interleaved stream cannot be CSV, so it has no columns; it can be JSON Lines");
            }
            SourceKind::Interleaved => (self.loyalty_format, &None, None),
            SourceKind::Suppression => return Ok(ReadOptions::default()),
        };
        let format = own_format.or(self.input_format).unwrap_or_default();
        if format == InputFormat::Csv && source == SourceKind::Interleaved {
            return usage_error("an interleaved stream cannot be CSV, because CSV has one header row for all records");
        }
        let columns = columns.as_ref().map(|FieldList(columns)| columns.clone());
        let mut column_names = self.tables.column_names(source, columns.is_some())?;
        let names_nothing = loyalty_columns.is_some() && conversions_columns.is_some() && !column.is_empty();
        if names_nothing || (columns.is_some() && !column_names.is_empty()) {
            return usage_error(
                "--column maps the names of a header row, so it cannot be combined with a list of columns",
            );
        }
        let is_conversion_name =
            |arg: &&ColumnArg| arg.column == Column::Conversion && arg.source != Some(SourceKind::Loyalty);
        let conversion_name = column.iter().find(is_conversion_name).map(|arg| arg.name.clone());
        if columns.as_ref().is_some_and(|columns| !columns.contains(&Some(Column::Email))) {
            return usage_error("a list of columns needs the field email");
        }
        let mut rules = self.rules()?;
        if source == SourceKind::Loyalty {
            // The types are needed to detect conversions in the list.
            rules = TableRules { types: rules.types, ..TableRules::default() };
        } else {
            if columns.is_some() && time_column.is_some() {
                return usage_error(
                    "--time-column names a column of a header row; in a list of columns, the field is called time",
                );
            }
            column_names.extend(time_column.iter().map(|name| (Column::Time, name.clone())));
        }
        Ok(ReadOptions {
            format,
            delimiter: delimiter.or(own_delimiter),
            column_names,
            columns,
            rules: Arc::new(rules),
            conversion_name,
            only_known: false,
        })
    }

    /// The rules for conversions.
    fn rules(&self) -> anyhow::Result<TableRules> {
        let TableArgs { types, since, until, promo, .. } = &self.tables;
        let has_times = self.tables.has_times();
        if !has_times && (since.is_some() || until.is_some()) {
            return usage_error("--since and --until need --time-column");
        }
        if since.zip(*until).is_some_and(|(since, until)| since >= until) {
            return usage_error("--since must be before --until");
        }
        if types.len() > MAX_TYPE_NAMES {
            return usage_error(format!("--type gives more than {MAX_TYPE_NAMES} names; use ignore=*"));
        }
        let contradicts = |(index, of): (usize, &TypeArg)| {
            types[..index].iter().any(|earlier| earlier.name == of.name && earlier.kind != of.kind)
        };
        if let Some((_, of)) = types.iter().enumerate().find(|&of| contradicts(of)) {
            return usage_error(format!("--type maps the name {} to two types", Quoted(of.name.as_bytes())));
        }
        let names = types.iter().filter(|of| of.name != "*").map(|of| (of.name.clone().into_bytes(), of.kind));
        let types = TypeNames { names: names.collect(), ignores_others: types.iter().any(|of| of.name == "*") };
        Ok(TableRules { types, promo: promo.clone(), has_times, window: TimeWindow { since: *since, until: *until } })
    }
}

/// The maximum number of names of conversion types. Each record is compared with all of them.
const MAX_TYPE_NAMES: usize = 1_000;

fn parse_column(text: &str) -> Result<ColumnArg, String> {
    let (field, name) = text.split_once('=').ok_or("expected FIELD=NAME, such as email=customer_email")?;
    let (source, field) = match field.split_once('.') {
        Some(("loyalty", field)) => (Some(SourceKind::Loyalty), field),
        Some(("conversions", field)) => (Some(SourceKind::Conversions), field),
        Some((other, _)) => {
            return Err(format!("unknown source '{}' (expected loyalty or conversions)", escape::text(other)));
        }
        None => (None, field),
    };
    let column = parse_field(field)?;
    match source {
        Some(of) if !has_field(of, column) => {
            let of = if of == SourceKind::Loyalty { "loyalty" } else { "conversions" };
            Err(format!("the source {of} has no field {}", column.name()))
        }
        source => column_arg(source, column, name),
    }
}

/// The name of the column of a field; `-` ignores the field.
pub fn column_arg(source: Option<SourceKind>, column: Column, name: &str) -> Result<ColumnArg, String> {
    match name.trim() {
        "" => Err("the name is empty".to_owned()),
        "-" if matches!(column, Column::Email | Column::Conversion) => {
            Err(format!("the field {} cannot be ignored", column.name()))
        }
        _ => Ok(ColumnArg { source, column, name: name.to_owned() }),
    }
}

/// The fields of the records of a source, without the time.
pub fn fields(source: SourceKind) -> impl Iterator<Item = Column> {
    let all = Column::ALL.into_iter();
    all.filter(move |column| match source {
        SourceKind::Loyalty => Column::LOYALTY.contains(column),
        SourceKind::Conversions => Column::CONVERSION.contains(column),
        SourceKind::Interleaved => *column != Column::Time,
        SourceKind::Suppression => *column == Column::Email,
    })
}

fn has_field(source: SourceKind, column: Column) -> bool {
    fields(source).any(|field| field == column)
}

fn parse_field(field: &str) -> Result<Column, String> {
    let fields = || fields(SourceKind::Interleaved);
    fields().find(|column| Column::from_name(field) == Some(*column)).ok_or_else(|| {
        let names: Vec<_> = fields().map(Column::name).collect();
        format!("unknown field '{}' (expected one of {})", escape::text(field), names.join(", "))
    })
}

fn parse_columns(text: &str) -> Result<FieldList, String> {
    let mut columns = Vec::new();
    for field in text.split(',').map(str::trim) {
        let column = match field {
            "-" => None,
            "time" => Some(Column::Time),
            field => Some(parse_field(field).map_err(|error| error + ", time")?),
        };
        if column.is_some() && columns.contains(&column) {
            return Err(format!("the field '{}' occurs twice", escape::text(field)));
        }
        columns.push(column);
    }
    Ok(FieldList(columns))
}

pub fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text.eq_ignore_ascii_case("tab") => Ok(b'\t'),
        [delimiter] if !matches!(delimiter, b'"' | b'\r' | b'\n' | 0) => Ok(*delimiter),
        _ => Err("expected one ASCII character or tab".to_owned()),
    }
}

fn parse_type(text: &str) -> Result<TypeArg, String> {
    let (kind, name) = text.split_once('=').ok_or("expected TYPE=NAME, such as click=ad_click")?;
    type_arg(kind, name)
}

/// The name of the conversion type `kind`, which is `click`, `basket`, `purchase` or `ignore`.
pub fn type_arg(kind: &str, name: &str) -> Result<TypeArg, String> {
    let kind = match kind {
        "ignore" => None,
        kind => match ConversionKind::from_short_name(kind.as_bytes()) {
            None => {
                let kind = escape::text(kind);
                return Err(format!("unknown type '{kind}' (expected click, basket, purchase or ignore)"));
            }
            kind => kind,
        },
    };
    match name.trim() {
        "" => Err("the name is empty".to_owned()),
        "*" if kind.is_some() => Err("the name * is valid only in ignore=*".to_owned()),
        name => Ok(TypeArg { kind, name: name.to_owned() }),
    }
}

fn parse_time(text: &str) -> Result<Time, String> {
    Time::parse(text.trim().as_bytes())
        .ok_or_else(|| "expected a time such as 2024-05-01 or 2024-05-01T10:00:00Z".to_owned())
}
