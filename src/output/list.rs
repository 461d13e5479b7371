//! Writes the loyalty list at the end of a run, in the format in which it was read or in another one.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use csv::{Terminator, WriterBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Serialize, Serializer};

use crate::campaign::Member;
use crate::escape::{Quoted, json_line};
use crate::input::{BYTE_ORDER_MARK, Format, SavedColumn, is_ambiguous_as_text, push_frame};
use crate::record::Column;
use crate::record::field::trim;

/// How a list is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFormat {
    /// One row per line.
    Text {
        /// A row that would be longer is written without spaces after its commas. Then it is not longer than the
        /// original record, and can be read with the same limit.
        max_record_bytes: usize,
    },
    /// The same rows as frames.
    Framed,
    /// CSV.
    Csv {
        /// The columns, in order.
        columns: Vec<SavedColumn>,
        /// Whether the names of the columns are in a header row.
        has_header: bool,
        /// The delimiter.
        delimiter: u8,
    },
    /// JSON Lines.
    JsonLines {
        /// The keys, in order.
        keys: Vec<SavedColumn>,
    },
}

impl ListFormat {
    /// The format of a list that was read. A list without any record is text.
    pub fn of_input(format: Option<&Format>, max_record_bytes: usize) -> Self {
        match format {
            None | Some(Format::Text) => Self::Text { max_record_bytes },
            Some(Format::Framed) => Self::Framed,
            Some(Format::Csv(header)) => {
                let (columns, has_header) = (header.saved_columns(), !header.raw.is_empty());
                Self::Csv { columns, has_header, delimiter: header.delimiter }
            }
            Some(Format::JsonLines(keys)) => Self::JsonLines { keys: keys.saved_keys() },
        }
    }

    /// CSV with all columns and their default names.
    pub fn csv() -> Self {
        Self::Csv { columns: default_columns(), has_header: true, delimiter: b',' }
    }

    /// JSON Lines with all keys and their default names.
    pub fn json_lines() -> Self {
        Self::JsonLines { keys: default_columns() }
    }

    /// Whether a list under this name is compressed.
    pub fn compresses(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
    }

    /// Writes the list, compressed if the name of the file ends with `.gz` or `.zst`.
    ///
    /// # Errors
    /// When `out` cannot be written, or JSON Lines cannot contain a field because it is not UTF-8.
    pub fn write<'a>(
        &self,
        members: impl Iterator<Item = Member<'a>>,
        path: &Path,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => {
                let mut encoder = GzEncoder::new(out, Compression::default());
                self.write_members(members, &mut encoder)?;
                encoder.finish().map(drop)
            }
            Some("zst") => {
                let mut encoder = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                self.write_members(members, &mut encoder)?;
                encoder.finish().map(drop)
            }
            _ => self.write_members(members, out),
        }
    }

    fn write_members<'a>(&self, members: impl Iterator<Item = Member<'a>>, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text { max_record_bytes } => write_text(members, *max_record_bytes, out),
            Self::Framed => write_frames(members, out),
            Self::Csv { columns, has_header, delimiter } => write_csv(members, columns, *has_header, *delimiter, out),
            Self::JsonLines { keys } => write_json_lines(members, keys, out),
        }
    }
}

/// The format of the saved list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaveFormat {
    /// One row per line
    Text,
    /// The same row, preceded by its length, a 4-byte big-endian integer
    Framed,
    /// CSV with a header row
    Csv,
    /// JSON Lines: one object per line
    Jsonl,
}

impl SaveFormat {
    /// This format, as in the list that was read if that has it.
    pub fn list_format(self, as_read: ListFormat, max_record_bytes: usize) -> ListFormat {
        match (self, as_read) {
            (Self::Csv, csv @ ListFormat::Csv { has_header: true, .. }) => csv,
            (Self::Jsonl, json_lines @ ListFormat::JsonLines { .. }) => json_lines,
            (Self::Text, _) => ListFormat::Text { max_record_bytes },
            (Self::Framed, _) => ListFormat::Framed,
            (Self::Csv, _) => ListFormat::csv(),
            (Self::Jsonl, _) => ListFormat::json_lines(),
        }
    }
}

fn default_columns() -> Vec<SavedColumn> {
    let column = |column: Column| SavedColumn { column: Some(column), name: column.name().as_bytes().to_vec() };
    Column::LOYALTY.map(column).into()
}

/// The fields of a row of text: the email and all others. A comma or a line feed, possible only in other formats,
/// becomes a space.
fn text_fields<'a>(member: Member<'a>) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let is_separator = |byte: u8| matches!(byte, b',' | b'\n');
    let replaced = move |field: &'a [u8]| -> Cow<'a, [u8]> {
        if field.iter().any(|&byte| is_separator(byte)) {
            let plain: Vec<u8> = field.iter().map(|&byte| if is_separator(byte) { b' ' } else { byte }).collect();
            trim(&plain).to_vec().into()
        } else {
            trim(field).into()
        }
    };
    std::iter::once(Cow::Borrowed(member.email)).chain(member.fields().map(replaced))
}

fn write_text<'a>(
    members: impl Iterator<Item = Member<'a>>,
    max_record_bytes: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for (index, member) in members.enumerate() {
        if index == 0 && is_ambiguous_as_text(member.email) {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        let fields: Vec<_> = text_fields(member).collect();
        let mut row = fields.join(&b", "[..]);
        if row.len() > max_record_bytes {
            row = fields.join(&b","[..]);
        }
        row.push(b'\n');
        out.write_all(&row)?;
    }
    Ok(())
}

fn write_frames<'a>(members: impl Iterator<Item = Member<'a>>, out: &mut impl Write) -> io::Result<()> {
    let mut frame = Vec::new();
    for member in members {
        frame.clear();
        let row = text_fields(member).collect::<Vec<_>>().join(&b","[..]);
        push_frame(&mut frame, |payload| payload.extend_from_slice(&row));
        out.write_all(&frame)?;
    }
    Ok(())
}

/// The field of a column; empty for a column that is ignored.
fn field<'a>(member: Member<'a>, column: Option<Column>) -> &'a [u8] {
    match column {
        Some(Column::Email) => member.email,
        Some(Column::FbUser) => member.fields().next().unwrap_or_default(),
        Some(Column::InstaUser) => member.fields().nth(1).unwrap_or_default(),
        Some(Column::Gender) => member.fields().nth(2).unwrap_or_default(),
        _ => b"",
    }
}

fn write_csv<'a>(
    members: impl Iterator<Item = Member<'a>>,
    columns: &[SavedColumn],
    has_header: bool,
    delimiter: u8,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut members = members.peekable();
    if !has_header && members.peek().is_some_and(|first| is_ambiguous_as_text(field(*first, columns[0].column))) {
        out.write_all(BYTE_ORDER_MARK)?;
    }
    let mut writer = WriterBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).from_writer(out);
    if has_header {
        writer.write_record(columns.iter().map(|column| &column.name))?;
    }
    for member in members {
        writer.write_record(columns.iter().map(|column| field(member, column.column)))?;
    }
    writer.flush()
}

fn write_json_lines<'a>(
    members: impl Iterator<Item = Member<'a>>,
    keys: &[SavedColumn],
    out: &mut impl Write,
) -> io::Result<()> {
    for member in members {
        let value = |key: &SavedColumn| str::from_utf8(field(member, key.column)).map_err(|_| not_utf8(member.email));
        let values: Vec<_> = keys.iter().map(value).collect::<io::Result<_>>()?;
        json_line(&Object { keys, values: &values }, &mut *out)?;
    }
    Ok(())
}

/// An object with its keys in order.
struct Object<'a> {
    keys: &'a [SavedColumn],
    values: &'a [&'a str],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = |key: &'_ SavedColumn| String::from_utf8_lossy(&key.name).into_owned();
        serializer.collect_map(self.keys.iter().map(name).zip(self.values))
    }
}

fn not_utf8(email: &[u8]) -> io::Error {
    let message = format!(
        "the row of {} is not UTF-8, which JSON Lines needs; save the list as text or CSV (--save-format)",
        Quoted(email)
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::member;

    fn written(format: &ListFormat, rows: &[[&str; 4]]) -> String {
        let rows: Vec<_> = rows.iter().map(|row| member(row)).collect();
        let mut out = Vec::new();
        format.write(rows.iter().map(|row| row.as_member()), Path::new("list"), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const ROWS: [[&str; 4]; 2] = [["a@x", "Kim, \"the\" Wombat", "in\n", "F"], ["b@x", "", "", ""]];

    #[test]
    fn a_list_is_written_in_each_format() {
        let text = ListFormat::Text { max_record_bytes: 100 };
        assert_eq!(written(&text, &ROWS), "a@x, Kim  \"the\" Wombat, in, F\nb@x, , , \n");
        let csv = "email,fb_user,insta_user,gender\na@x,\"Kim, \"\"the\"\" Wombat\",\"in\n\",F\nb@x,,,\n";
        assert_eq!(written(&ListFormat::csv(), &ROWS), csv);
        let json = r#"{"email":"b@x","fb_user":"","insta_user":"","gender":""}"#;
        assert_eq!(written(&ListFormat::json_lines(), &ROWS[1..]), format!("{json}\n"));
    }

    #[test]
    fn a_row_of_text_at_the_limit_is_written_without_spaces() {
        let rows = [["a@x", "fb", "in", "F"], ["b@x", "", "", ""]];
        for (max_record_bytes, saved) in [(100, "a@x, fb, in, F\nb@x, , , \n"), (11, "a@x,fb,in,F\nb@x, , , \n")] {
            assert_eq!(written(&ListFormat::Text { max_record_bytes }, &rows), saved);
        }
    }
}
