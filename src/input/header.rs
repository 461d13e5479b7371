//! The columns of CSV and the field that each contains, from the header row or from an option.

use std::sync::Arc;

use super::csv::{RowFields, count_lines};
use super::format::{BYTE_ORDER_MARK, ReadOptions};
use crate::escape::Quoted;
use crate::record::column::normalized;
use crate::record::field::trim;
use crate::record::{Bytes, Column, ColumnNames, RecordError, SourceKind, Span, TableFields, TableRules};

/// The maximum number of columns.
const MAX_COLUMNS: usize = 1 << 12;

/// The maximum number of columns that an error message lists.
const LISTED_COLUMNS: usize = 10;

/// The maximum length of a name in the option that a message shows.
const MAX_PRINTED_NAME: usize = 60;

/// The header row, or the columns that an option gives for a file without one.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// The row verbatim, with its line ending. Empty if there is none.
    pub raw: Vec<u8>,
    /// The number of lines up to the end of the header row, including blank ones before it.
    pub lines: u64,
    pub delimiter: u8,
    pub(super) rules: Arc<TableRules>,
    /// The number of columns.
    width: usize,
    /// The columns that a record needs, with their index in a row.
    columns: Vec<(Column, usize)>,
    /// The number of fields at the beginning of a row that contain these columns.
    pub(super) kept_fields: usize,
}

/// A column or key of a saved list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedColumn {
    /// The field; `None` for an empty column.
    pub column: Option<Column>,
    /// The name, as in the list that was read.
    pub name: Vec<u8>,
}

impl Header {
    /// Parses a header row after `lines_before` blank lines.
    pub(super) fn parse(
        raw: &[u8],
        delimiter: u8,
        source: SourceKind,
        lines_before: u64,
        options: &ReadOptions,
    ) -> Result<Self, String> {
        let names = split_names(raw, delimiter)?;
        let wanted = ColumnNames::new(source, &options.column_names);
        let is_wanted = |name: &[u8]| wanted.iter().any(|(_, wanted)| wanted == normalized(name));
        if let Some(name) = names.iter().find(|name| name.strip_prefix(BYTE_ORDER_MARK).is_some_and(is_wanted)) {
            return Err(format!("a byte-order mark is in the name of the column {}; remove it", Quoted(name)));
        }
        let mut columns = Vec::new();
        for (column, name) in wanted.iter() {
            let mut indexes = (0..names.len()).filter(|&index| normalized(&names[index]) == name);
            if let Some(index) = indexes.next() {
                columns.push((column, index));
                if indexes.next().is_some() {
                    return Err(format!("it has more than one column {}", Quoted(&names[index])));
                }
            }
        }
        let has = |column: Column| columns.iter().any(|(of, _)| *of == column);
        let missing = missing_required(&names, &wanted, source);
        if !missing.is_empty() {
            return Err(missing_columns(&missing, &names, &wanted, source));
        }
        if let Some((unmatched, name)) =
            options.column_names.iter().find(|(column, _)| wanted.contains(*column) && !has(*column))
        {
            let name = Quoted(name.as_bytes());
            return Err(format!("no column {name} for {} (found: {})", unmatched.name(), found(&names)));
        }
        let other = (0..names.len()).find(|index| columns.iter().all(|(_, of)| of != index));
        if let Some(other) = other.filter(|_| options.only_known) {
            return Err(format!(
                "the column {} would be lost when the saved list replaces this file; save to another file",
                Quoted(&names[other])
            ));
        }
        let lines = lines_before + count_lines(raw);
        Ok(Self::new(raw.to_vec(), lines, delimiter, names.len(), columns, options))
    }

    /// The columns of a list that is saved in this format: the known ones of a header row, or all of a file without one,
    /// so the same option fits the saved list.
    pub fn saved_columns(&self) -> Vec<SavedColumn> {
        let column = |index| self.columns.iter().find(|(_, of)| *of == index).map(|(column, _)| *column);
        if self.raw.is_empty() {
            return (0..self.width).map(|index| SavedColumn { column: column(index), name: Vec::new() }).collect();
        }
        let names = split_names(&self.raw, self.delimiter).expect("the header row was parsed before");
        let saved = |(index, name)| Some(SavedColumn { column: Some(column(index)?), name });
        names.into_iter().enumerate().filter_map(saved).collect()
    }

    /// The columns of a file without a header row.
    pub(super) fn without_row(columns: &[Option<Column>], delimiter: u8, options: &ReadOptions) -> Self {
        let named = (0..).zip(columns).filter_map(|(index, column)| Some(((*column)?, index))).collect();
        Self::new(Vec::new(), 0, delimiter, columns.len(), named, options)
    }

    fn new(
        raw: Vec<u8>,
        lines: u64,
        delimiter: u8,
        width: usize,
        columns: Vec<(Column, usize)>,
        options: &ReadOptions,
    ) -> Self {
        let kept_fields = columns.iter().map(|(_, index)| index + 1).max().unwrap_or(0);
        Self { raw, lines, delimiter, rules: Arc::clone(&options.rules), width, columns, kept_fields }
    }

    /// The fields that a record needs, from a row with `width` fields. `field` returns a field by its index.
    ///
    /// # Errors
    /// When the row has more or fewer fields than the header.
    #[inline]
    pub(super) fn fields<'a>(
        &self,
        width: usize,
        mut field: impl FnMut(usize) -> Span,
    ) -> Result<TableFields, RecordError<'a>> {
        if width != self.width {
            return Err(RecordError::WrongWidth { header: self.width as u32, row: width as u32 });
        }
        let mut fields = TableFields::default();
        for &(column, index) in &self.columns {
            fields.set(column, field(index));
        }
        Ok(fields)
    }
}

/// The columns that every record of a source needs, and that are not among these names of a header row.
pub(super) fn missing_required(names: &[Vec<u8>], wanted: &ColumnNames, source: SourceKind) -> Vec<Column> {
    let has_conversions = matches!(source, SourceKind::Conversions | SourceKind::Interleaved);
    let of_conversion = has_conversions.then_some(Column::Conversion);
    let time = wanted.contains(Column::Time).then_some(Column::Time);
    let is_named = |name: &[u8]| names.iter().any(|found| normalized(found) == name);
    let has = |column: Column| wanted.iter().any(|(of, name)| of == column && is_named(name));
    std::iter::once(Column::Email).chain(of_conversion).chain(time).filter(|&column| !has(column)).collect()
}

/// The names in a header row, stripped.
///
/// # Errors
/// When the row has a bad quote or too many columns.
fn split_names(raw: &[u8], delimiter: u8) -> Result<Vec<Vec<u8>>, String> {
    match first_names(raw, delimiter) {
        None => Err("a quoted name is not closed, or there is text before or after its quotes".to_owned()),
        Some((_, width)) if width > MAX_COLUMNS => Err(format!("it has more than {MAX_COLUMNS} columns")),
        Some((names, _)) => Ok(names),
    }
}

/// The first names in a header row, stripped, and the number of columns. `None` if the row has a bad quote.
pub(super) fn first_names(raw: &[u8], delimiter: u8) -> Option<(Vec<Vec<u8>>, usize)> {
    let (mut scratch, mut row) = (Vec::new(), RowFields::default());
    row.split(raw, 0, MAX_COLUMNS, delimiter, &mut scratch);
    let bytes = Bytes { block: raw, scratch: &scratch };
    let names = || row.fields.iter().map(|&field| trim(bytes.get(field)).to_vec()).collect();
    row.well_quoted.then(|| (names(), row.width))
}

/// The first names of a header row, quoted.
pub(super) fn found(names: &[Vec<u8>]) -> String {
    let listed: Vec<_> = names.iter().take(LISTED_COLUMNS).map(|name| Quoted(name).to_string()).collect();
    listed.join(", ")
}

/// The message for columns that are missing, with the options that map them. The option for the email names the source,
/// because the other source has that field too.
pub(super) fn missing_columns(
    missing: &[Column],
    names: &[Vec<u8>],
    wanted: &ColumnNames,
    source: SourceKind,
) -> String {
    let wanted_name = |column: &Column| {
        let name = wanted.iter().find(|(of, _)| of == column).map_or(&[][..], |(_, name)| name);
        let is_default = normalized(column.name().as_bytes()) == name;
        if is_default { format!("\"{}\"", column.name()) } else { Quoted(name).to_string() }
    };
    let list: Vec<_> = missing.iter().map(wanted_name).collect();
    let has_all = |columns: &[Column]| {
        columns.iter().all(|column| names.iter().any(|name| normalized(name) == normalized(column.name().as_bytes())))
    };
    let is_swapped = match source {
        SourceKind::Loyalty => has_all(&[Column::Promo, Column::Conversion]),
        SourceKind::Conversions | SourceKind::Interleaved => has_all(&[Column::Email, Column::Gender]),
        SourceKind::Suppression => false,
    };
    let prefix = match source {
        SourceKind::Loyalty => "loyalty.",
        SourceKind::Conversions => "conversions.",
        SourceKind::Interleaved | SourceKind::Suppression => "",
    };
    let hint = if is_swapped {
        " (are --loyalty and --conversions swapped?)".to_owned()
    } else if names.iter().any(|name| name.contains(&b'@')) {
        let source = prefix.trim_end_matches('.');
        format!(
            "; if the first line is a record, this is text (--{source}-format text) or CSV without a header row \
             (--{source}-columns)"
        )
    } else {
        let maps = missing.iter().filter(|column| **column != Column::Time).map(|&column| {
            let name = likely_name(column, names).map_or_else(|| "NAME".to_owned(), shell_word);
            let scope = if column == Column::Email { prefix } else { "" };
            format!("--column {scope}{}={name}", column.name())
        });
        let maps: Vec<_> = maps.collect();
        let them = if maps.len() == 1 { "it" } else { "them" };
        if maps.is_empty() { String::new() } else { format!("; map {them} with {}", maps.join(" ")) }
    };
    let columns = if missing.len() == 1 { "column" } else { "columns" };
    format!("no {columns} {} (found: {}){hint}", list.join(" and "), found(names))
}

/// The name that probably means `column`, unless it is too long for a message.
fn likely_name(column: Column, names: &[Vec<u8>]) -> Option<&[u8]> {
    let parts: &[&str] = match column {
        Column::Email => &["mail"],
        Column::Conversion => &["conversion", "event", "type", "action"],
        _ => return None,
    };
    let contains = |name: &[u8], part: &str| String::from_utf8_lossy(&normalized(name)).contains(part);
    let short = names.iter().filter(|name| name.len() <= MAX_PRINTED_NAME);
    parts.iter().find_map(|part| short.clone().find(|name| contains(name, part))).map(Vec::as_slice)
}

/// A name as one word of a shell.
fn shell_word(name: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let text = crate::escape::Escaped(name).to_string();
    match name {
        _ if name.iter().all(is_plain) => text,
        // An escaped name is not the name.
        _ if name.contains(&b'\'') || text.as_bytes() != name => "NAME".to_owned(),
        _ => format!("'{text}'"),
    }
}
