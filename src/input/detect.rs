//! Format detection from the first bytes of an input, and the guards against reading CSV or another type of file as
//! text. If an option sets the format, nothing is detected.

use super::format::{ReadOptions, is_utf16};
use super::header::{first_names, missing_columns, missing_required};
use crate::escape::Quoted;
use crate::record::column::normalized;
use crate::record::field::trim;
use crate::record::{Column, ColumnNames, ConversionKind, SourceKind};

/// The delimiters that are detected. The first one is the default.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The byte after the first bytes of a file type. It distinguishes the type from text that begins the same way.
#[derive(Debug, Clone, Copy)]
enum NextByte {
    Any,
    Digit,
    Binary,
}

impl NextByte {
    const fn matches(self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Digit => byte.is_ascii_digit(),
            Self::Binary => byte >= 0x80 || (byte.is_ascii_control() && !byte.is_ascii_whitespace()),
        }
    }
}

/// An unsupported file type: its first bytes, the byte that follows them, and a description with the remedy.
const OTHER_TYPES: [(&[u8], NextByte, &str); 11] = [
    (b"\xfd7zXZ\0", NextByte::Any, "an xz file; decompress it first (xz -dc)"),
    (b"BZh", NextByte::Digit, "a bzip2 file; decompress it first (bzip2 -dc)"),
    (b"7z\xbc\xaf\x27\x1c", NextByte::Any, "a 7z archive; decompress it first (7z x -so)"),
    (b"\x04\x22\x4d\x18", NextByte::Any, "an lz4 file; decompress it first (lz4 -dc)"),
    (
        b"PK\x03\x04",
        NextByte::Any,
        "a zip archive or an Excel workbook; extract it first (unzip -p), or export the workbook as CSV \
         (duckdb -c \"COPY (FROM 'FILE.xlsx') TO '/dev/stdout'\" | adseg …)",
    ),
    (b"\xd0\xcf\x11\xe0", NextByte::Any, "an Excel workbook; export it as CSV"),
    (
        b"PAR1",
        NextByte::Binary,
        "a Parquet file; convert it to CSV (duckdb -c \"COPY (FROM 'FILE.parquet') TO '/dev/stdout'\" | adseg …)",
    ),
    (b"Obj\x01", NextByte::Any, "an Avro file; convert it to CSV or JSON Lines first"),
    (b"ORC", NextByte::Binary, "an ORC file; convert it to CSV or JSON Lines first"),
    (
        b"SQLite format 3\0",
        NextByte::Any,
        "a SQLite database; export a table (sqlite3 -csv -header FILE 'SELECT …' | adseg …)",
    ),
    (b"%PDF-", NextByte::Any, "a PDF file; export the table as CSV"),
];

const UTF_16: &str = "UTF-16 text; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)";

/// The unsupported file type that begins with `head`, if any. `Err` if more bytes are needed.
pub(super) fn other_type(head: &[u8]) -> Result<Option<&'static str>, ()> {
    if is_utf16(head).ok_or(())? {
        return Ok(Some(UTF_16));
    }
    for (magic, next, what) in OTHER_TYPES {
        match (head.strip_prefix(magic), next) {
            (Some([]), NextByte::Any) => return Ok(Some(what)),
            (Some([byte, ..]), next) if next.matches(*byte) => return Ok(Some(what)),
            (Some([]), _) => return Err(()),
            (None, _) if magic.starts_with(head) => return Err(()),
            (Some([..]) | None, _) => {}
        }
    }
    Ok(None)
}

/// The format of an input, according to its first line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detected {
    Text,
    Csv { delimiter: u8 },
    JsonLines,
}

/// Detects the format from the beginning of the first line that is not blank.
///
/// # Errors
/// When the input is not, or probably not, in a format of this source. The message has a remedy.
pub(super) fn detect(line: &[u8], source: SourceKind, options: &ReadOptions) -> Result<Detected, String> {
    match trim(line) {
        [b'{', ..] => return Ok(Detected::JsonLines),
        [b'[', ..] => {
            return Err("this is a JSON array; JSON Lines has one object per line (jq -c '.[]' converts it)".to_owned());
        }
        _ => {}
    }
    if source == SourceKind::Suppression {
        return detect_suppression(line, options);
    }
    if let Some(columns) = &options.columns {
        let delimiter = headerless_delimiter(line, columns.len(), options);
        let row = first_names(line, delimiter).map_or_else(Vec::new, |(fields, _)| fields);
        let email = columns.iter().position(|column| *column == Some(Column::Email)).and_then(|place| row.get(place));
        return match email {
            Some(email) if !email.contains(&b'@') => Err(format!(
                "the first row has {} where the email is, without an @; if it is a header row, leave out the list of \
                 columns; {} csv reads it as a row",
                Quoted(email),
                if source == SourceKind::Loyalty { "--loyalty-format" } else { "--conversions-format" }
            )),
            _ => Ok(Detected::Csv { delimiter }),
        };
    }
    if let Some(delimiter) = candidates(options).find(|&delimiter| has_columns(line, delimiter, source, options)) {
        return match source {
            SourceKind::Interleaved => Err(INTERLEAVED_CSV.to_owned()),
            SourceKind::Loyalty if is_conversions_header(line, delimiter, options) => Err(
                "the header row has a column \"conversion\" (are --loyalty and --conversions swapped?); if this is the \
                 loyalty list, add --loyalty-format csv"
                    .to_owned(),
            ),
            SourceKind::Loyalty | SourceKind::Conversions => Ok(Detected::Csv { delimiter }),
            SourceKind::Suppression => panic!("a suppression list has its own detection"),
        };
    }
    reject_tables(line, source, options)?;
    options.check_not_table("text", source)?;
    Ok(Detected::Text)
}

/// A suppression list is CSV if its header row has a column `email`; otherwise each line begins with an email or a
/// digest, which the decoder checks.
fn detect_suppression(line: &[u8], options: &ReadOptions) -> Result<Detected, String> {
    let source = SourceKind::Suppression;
    if let Some(delimiter) = candidates(options).find(|&delimiter| has_columns(line, delimiter, source, options)) {
        return Ok(Detected::Csv { delimiter });
    }
    let delimiter = widest_delimiter(line, options);
    match first_names(line, delimiter) {
        Some((names, _)) if looks_like_header(&names) => Err(
            "this looks like a CSV header row, but it has no column email; rename the column with the emails or digests \
             to email"
                .to_owned(),
        ),
        _ => Ok(Detected::Text),
    }
}

pub(super) const INTERLEAVED_CSV: &str =
    "an interleaved stream cannot be CSV, because CSV has one header row for all records; it can be JSON Lines";

fn candidates(options: &ReadOptions) -> impl Iterator<Item = u8> {
    let given = options.delimiter;
    DELIMITERS.into_iter().filter(move |_| given.is_none()).chain(given)
}

/// Whether the line is a header row with the columns that every record of the source needs.
fn has_columns(line: &[u8], delimiter: u8, source: SourceKind, options: &ReadOptions) -> bool {
    let wanted = ColumnNames::new(source, &options.column_names);
    let Some((names, _)) = first_names(line, delimiter) else { return false };
    if names.iter().any(|name| name.contains(&b'@')) {
        // A record may have the name of a column as a field.
        return false;
    }
    missing_required(&names, &wanted, source).iter().all(|column| *column == Column::Time)
}

/// Whether a header row that has an email also has the type of a conversion, under the name that it has in the
/// conversions.
fn is_conversions_header(line: &[u8], delimiter: u8, options: &ReadOptions) -> bool {
    let email = options.column_names.iter().filter(|(column, _)| *column == Column::Email).cloned();
    let conversion = options.conversion_name.clone().map(|name| (Column::Conversion, name));
    let names = ReadOptions { column_names: email.chain(conversion).collect(), ..ReadOptions::default() };
    has_columns(line, delimiter, SourceKind::Conversions, &names)
}

/// The delimiter if an option says that the input is CSV: the one that gives a header row with the required columns, or
/// else the one that gives the most columns.
pub(super) fn csv_delimiter(line: &[u8], source: SourceKind, options: &ReadOptions) -> u8 {
    if let Some(columns) = &options.columns {
        return headerless_delimiter(line, columns.len(), options);
    }
    candidates(options)
        .find(|&delimiter| has_columns(line, delimiter, source, options))
        .unwrap_or_else(|| widest_delimiter(line, options))
}

/// The delimiter of CSV without a header row: the one that splits the line into as many columns as there are names.
fn headerless_delimiter(line: &[u8], width: usize, options: &ReadOptions) -> u8 {
    let fits = |delimiter: &u8| first_names(line, *delimiter).is_some_and(|(_, found)| found == width);
    candidates(options).find(fits).unwrap_or_else(|| options.delimiter.unwrap_or(DELIMITERS[0]))
}

/// The delimiter that splits the line into the most columns; of several, the first.
fn widest_delimiter(line: &[u8], options: &ReadOptions) -> u8 {
    let width = |delimiter| first_names(line, delimiter).map_or(0, |(_, width)| width);
    let first_widest = |best, next| if width(next) > width(best) { next } else { best };
    candidates(options).reduce(first_widest).unwrap_or(DELIMITERS[0])
}

/// Fails if the first line of text shows that this is probably a table that was not detected.
fn reject_tables(line: &[u8], source: SourceKind, options: &ReadOptions) -> Result<(), String> {
    let delimiter = widest_delimiter(line, options);
    let (names, width) = first_names(line, delimiter).unwrap_or_else(|| (unquoted_names(line, delimiter), 0));
    if width > names.len() {
        return Err(format!("the first line has more than {} columns", names.len()));
    }
    match (looks_like_header(&names), source) {
        (false, _) => check_record(trim(line), source, options),
        (true, SourceKind::Interleaved) => Err(INTERLEAVED_CSV.to_owned()),
        (true, SourceKind::Loyalty | SourceKind::Conversions) => Err(header_error(&names, source, options)),
        (true, SourceKind::Suppression) => panic!("a suppression list has its own detection"),
    }
}

/// The option that lifts the guards.
const fn text_option(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Loyalty => "--loyalty-format text",
        SourceKind::Conversions => "--conversions-format text",
        SourceKind::Interleaved => "--input-format text",
        SourceKind::Suppression => panic!("a suppression list has its own detection"),
    }
}

/// What is wrong with a header row that was not detected.
fn header_error(names: &[Vec<u8>], source: SourceKind, options: &ReadOptions) -> String {
    let text = text_option(source);
    let wanted = ColumnNames::new(source, &options.column_names);
    let missing = missing_required(names, &wanted, source);
    if missing.is_empty() {
        return format!(
            "this looks like a CSV header row with quotes that are not around complete names; fix them, or add {text} to \
             read it as text"
        );
    }
    let reason = missing_columns(&missing, names, &wanted, source);
    format!("this looks like a CSV header row, but it has {reason}; to read it as text, add {text}")
}

/// Fails if the first record of text is probably a row of CSV.
fn check_record(record: &[u8], source: SourceKind, options: &ReadOptions) -> Result<(), String> {
    let table = match source {
        SourceKind::Loyalty => {
            "for CSV without a header row, add --loyalty-columns email,fb_user,insta_user,gender in the order of its \
             columns (- ignores a column)"
        }
        SourceKind::Conversions => {
            "for CSV without a header row, add --conversions-columns promo,conversion,email,where,items,total_cost in \
             the order of its columns (- ignores a column)"
        }
        SourceKind::Interleaved => "an interleaved stream cannot be CSV; it can be JSON Lines",
        SourceKind::Suppression => panic!("a suppression list has its own detection"),
    };
    let error = |reason: String| Err(format!("{reason}; {table}; to read it literally, add {}", text_option(source)));
    if record.starts_with(b"\"") {
        return error("the first record begins with a quote, but text has no quoting".to_owned());
    }
    let separator = record.iter().find(|byte| matches!(byte, b';' | b'\t')).filter(|_| !record.contains(&b','));
    if let Some(separator) = separator {
        return error(format!("the fields are separated by {}, but text uses commas", Quoted(&[*separator])));
    }
    if let Some(delimiter) = options.delimiter.filter(|delimiter| record.contains(delimiter)) {
        return error(format!("the first line has the delimiter {}, but is no header row", Quoted(&[delimiter])));
    }
    let fields: Vec<_> = record.split(|&byte| byte == b',').map(trim).collect();
    let is_email = |field: &&[u8]| memchr::memchr(b'@', field).is_some_and(|at| at > 0 && at + 1 < field.len());
    let is_conversion = fields.iter().any(|field| ConversionKind::from_name(field).is_some());
    if source == SourceKind::Loyalty && !is_conversion && !fields[0].contains(&b'@') && !record.is_empty() {
        let also = if fields.iter().any(is_email) { ", and another one is" } else { "" };
        return error(format!("the first field of the first record is no email{also}"));
    }
    Ok(())
}

/// The fields of a line with bad quotes, without the quotes.
fn unquoted_names(line: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let plain: Vec<u8> = line.iter().copied().filter(|&byte| byte != b'"').collect();
    plain.split(|&byte| byte == delimiter).map(|name| trim(name).to_vec()).collect()
}

/// Whether the fields of a line are names of columns and not values.
fn looks_like_header(names: &[Vec<u8>]) -> bool {
    let is_value = |name: &Vec<u8>| name.contains(&b'@') || ConversionKind::from_name(name).is_some();
    let names_email = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        name.contains("email") || name.ends_with("mail") || name.ends_with("mailaddress")
    };
    let known =
        names.iter().filter(|name| Column::from_name(&String::from_utf8_lossy(name)).is_some() && !name.is_empty());
    !names.iter().any(is_value) && (names.iter().any(|name| names_email(&normalized(name))) || known.count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, source: SourceKind) -> Result<Detected, String> {
        detect(line.as_bytes(), source, &ReadOptions::default())
    }

    #[test]
    fn a_header_row_is_detected_with_its_delimiter() {
        for (line, delimiter) in [
            ("email", b','),
            ("id,E-Mail,gender", b','),
            ("\"Email\";\"Name, first\"", b';'),
            ("id\tEMAIL", b'\t'),
            ("email|id", b'|'),
        ] {
            assert_eq!(of(line, SourceKind::Loyalty), Ok(Detected::Csv { delimiter }), "{line}");
        }
        assert_eq!(of("Conversion;eMail", SourceKind::Conversions), Ok(Detected::Csv { delimiter: b';' }));
        assert_eq!(of(" {\"email\"", SourceKind::Interleaved), Ok(Detected::JsonLines));
    }

    #[test]
    fn a_record_of_text_is_text() {
        for (line, source) in [
            ("a@x, , , M", SourceKind::Loyalty),
            ("email, ClickConversion, a@x, w", SourceKind::Conversions),
            ("P, ClickConversion, email, w", SourceKind::Conversions),
            ("nonsense", SourceKind::Conversions),
            ("", SourceKind::Interleaved),
        ] {
            assert_eq!(of(line, source), Ok(Detected::Text), "{line}");
        }
    }

    #[test]
    fn what_is_probably_a_table_is_rejected_with_a_remedy() {
        for (line, source, part) in [
            ("[{}]", SourceKind::Loyalty, "jq -c '.[]'"),
            ("\"a@x\",\"b\"", SourceKind::Loyalty, "--loyalty-columns email,"),
            ("a@x;b;c;M", SourceKind::Loyalty, "separated by \";\""),
            ("id,customer_email", SourceKind::Loyalty, "--column loyalty.email=customer_email"),
            ("id;Customer Mail;city", SourceKind::Loyalty, "--column loyalty.email='Customer Mail'"),
            ("promo,type,email", SourceKind::Conversions, "--column conversion=type"),
            ("id;user_mail", SourceKind::Loyalty, "--column loyalty.email=user_mail"),
            ("a@x;b", SourceKind::Interleaved, "it can be JSON Lines; to read it literally, add --input-format text"),
            ("1001,quinn@x,F,Bern", SourceKind::Loyalty, "--loyalty-columns email,"),
            ("email,conversion", SourceKind::Loyalty, "swapped"),
            ("email,conversion", SourceKind::Interleaved, "cannot be CSV"),
        ] {
            let message = of(line, source).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn other_types_of_files_are_named() {
        for (head, part) in [
            (&b"PK\x03\x04rest"[..], "Excel"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"BZh91AY&SY", "bzip2"),
            (b"\xff\xfea\0b\0", "UTF-16"),
            (b"SQLite format 3\0", "SQLite"),
        ] {
            assert!(other_type(head).unwrap().unwrap().contains(part), "{part}");
        }
        for text in [&b"PAR1, ClickConversion"[..], b"ORCHID, x", b"BZhoodie", b"P, x", b"\xff\xfeabc"] {
            assert_eq!(other_type(text), Ok(None), "{text:?}");
        }
        assert_eq!(other_type(b"PAR"), Err(()));
    }
}
