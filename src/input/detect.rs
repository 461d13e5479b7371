//! Format detection from the first bytes of an input, and the guards against reading CSV or another type of file as
//! text. If an option sets the format, nothing is detected.

use super::format::ReadOptions;
use super::header::{Header, first_names, missing_columns, required};
use crate::escape::Quoted;
use crate::record::column::normalized;
use crate::record::field::trim;
use crate::record::{Column, ColumnNames, ConversionKind, SourceKind};

/// The delimiters that are detected. The first one is the default.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// An unsupported file type: its first bytes, whether a binary byte follows them, and a description with the remedy.
const OTHER_TYPES: [(&[u8], bool, &str); 13] = [
    (b"\xfd7zXZ\0", false, "an xz file; decompress it first (xz -dc)"),
    (b"BZh", true, "a bzip2 file; decompress it first (bzip2 -dc)"),
    (b"7z\xbc\xaf\x27\x1c", false, "a 7z archive; decompress it first (7z x -so)"),
    (b"\x04\x22\x4d\x18", false, "an lz4 file; decompress it first (lz4 -dc)"),
    (
        b"PK\x03\x04",
        false,
        "a zip archive or an Excel workbook; extract it first (unzip -p), or export the workbook as CSV \
         (duckdb -c \"COPY (FROM 'FILE.xlsx') TO '/dev/stdout'\" | adseg …)",
    ),
    (b"\xd0\xcf\x11\xe0", false, "an Excel workbook; export it as CSV"),
    (
        b"PAR1",
        true,
        "a Parquet file; convert it to CSV (duckdb -c \"COPY (FROM 'FILE.parquet') TO '/dev/stdout'\" | adseg …)",
    ),
    (b"Obj\x01", false, "an Avro file; convert it to CSV or JSON Lines first"),
    (b"ORC", true, "an ORC file; convert it to CSV or JSON Lines first"),
    (b"SQLite format 3\0", false, "a SQLite database; export a table (sqlite3 -csv -header FILE 'SELECT …' | adseg …)"),
    (b"%PDF-", false, "a PDF file; export the table as CSV"),
    (b"\xff\xfe", true, UTF_16),
    (b"\xfe\xff\0", false, UTF_16),
];

const UTF_16: &str = "UTF-16 text; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)";

/// The unsupported file type that begins with `head`, if any. `Err` if more bytes are needed.
pub(super) fn other_type(head: &[u8]) -> Result<Option<&'static str>, ()> {
    for (magic, then_binary, what) in OTHER_TYPES {
        let is_utf16 = magic == b"\xff\xfe";
        // In UTF-16 the first character is below U+0100, so its second byte is 0.
        let needed = magic.len() + if is_utf16 { 2 } else { usize::from(then_binary) };
        if head.len() < needed && head[..head.len().min(magic.len())] == magic[..head.len().min(magic.len())] {
            return Err(());
        }
        let is_binary = |byte: u8| byte >= 0x80 || (byte.is_ascii_control() && !byte.is_ascii_whitespace());
        let follows = match head.get(magic.len()..) {
            Some([_, second, ..]) if is_utf16 => *second == 0,
            Some([next, ..]) if then_binary && magic != b"BZh" => is_binary(*next),
            Some([next, ..]) if then_binary => next.is_ascii_digit(),
            _ => !then_binary,
        };
        if head.starts_with(magic) && follows {
            return Ok(Some(what));
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
        };
    }
    reject_tables(line, source, options)?;
    options.check_not_table("text", source)?;
    Ok(Detected::Text)
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
    let names: Vec<_> = names.iter().map(|name| normalized(name)).collect();
    let has = |column: Column| wanted.iter().any(|(of, name)| of == column && names.iter().any(|found| found == name));
    required(source, &wanted).filter(|&column| column != Column::Time).all(has)
}

/// Whether a header row that has an email also has the type of a conversion, under the name that it has in the
/// conversions.
fn is_conversions_header(line: &[u8], delimiter: u8, options: &ReadOptions) -> bool {
    let column_names = [(Column::Conversion, options.conversion_name.clone())];
    let column_names = column_names.into_iter().filter_map(|(column, name)| Some((column, name?)));
    let email = options.column_names.iter().filter(|(column, _)| *column == Column::Email).cloned();
    let names = ReadOptions { column_names: email.chain(column_names).collect(), ..ReadOptions::default() };
    has_columns(line, delimiter, SourceKind::Conversions, &names)
}

/// The delimiter of CSV with a header row if an option says that it is CSV: the one that gives a header row with the
/// required columns, or else the one that gives the most columns.
pub(super) fn header_delimiter(line: &[u8], source: SourceKind, options: &ReadOptions) -> u8 {
    candidates(options)
        .find(|&delimiter| has_columns(line, delimiter, source, options))
        .unwrap_or_else(|| widest_delimiter(line, options))
}

/// The delimiter of CSV without a header row: the one that splits the line into as many columns as there are names.
pub(super) fn headerless_delimiter(line: &[u8], width: usize, options: &ReadOptions) -> u8 {
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
    let (format, columns) = match source {
        SourceKind::Loyalty => ("--loyalty-format text", "--loyalty-columns email,fb_user,insta_user,gender"),
        SourceKind::Conversions => {
            ("--conversions-format text", "--conversions-columns promo,conversion,email,where,items,total_cost")
        }
        SourceKind::Interleaved => ("--input-format text", ""),
    };
    let table = match source {
        SourceKind::Loyalty | SourceKind::Conversions => {
            format!("for CSV without a header row, add {columns} in the order of its columns (- ignores a column)")
        }
        SourceKind::Interleaved => "an interleaved stream cannot be CSV; it can be JSON Lines".to_owned(),
    };
    let remedy = format!("; {table}; to read it literally, add {format}");
    let delimiter = widest_delimiter(line, options);
    let (names, width) = first_names(line, delimiter).unwrap_or_else(|| (unquoted_names(line, delimiter), 0));
    if width > names.len() {
        return Err(format!("the first line has more than {} columns", names.len()));
    }
    if !looks_like_header(&names) {
        let first = trim(line);
        if first.starts_with(b"\"") {
            return Err(format!("the first record begins with a quote, but text has no quoting{remedy}"));
        }
        if !first.contains(&b',')
            && let Some(separator) = first.iter().find(|byte| matches!(byte, b';' | b'\t'))
        {
            return Err(format!("the fields are separated by {}, but text uses commas{remedy}", Quoted(&[*separator])));
        }
        if let Some(delimiter) = options.delimiter.filter(|delimiter| first.contains(delimiter)) {
            return Err(format!(
                "the first line has the delimiter {}, but is no header row{remedy}",
                Quoted(&[delimiter])
            ));
        }
        let fields: Vec<_> = first.split(|&byte| byte == b',').map(trim).collect();
        let is_email = |field: &&[u8]| memchr::memchr(b'@', field).is_some_and(|at| at > 0 && at + 1 < field.len());
        let is_conversion = fields.iter().any(|field| ConversionKind::from_name(field).is_some());
        if source == SourceKind::Loyalty && !is_conversion && !fields[0].contains(&b'@') && !first.is_empty() {
            let also = if fields.iter().any(is_email) { ", and another one is" } else { "" };
            return Err(format!("the first field of the first record is no email{also}{remedy}"));
        }
        return Ok(());
    }
    if source == SourceKind::Interleaved {
        return Err(INTERLEAVED_CSV.to_owned());
    }
    let wanted = ColumnNames::new(source, &options.column_names);
    let is_missing = |column: &Column| {
        let name = wanted.iter().find(|(of, _)| of == column).map(|(_, name)| name.to_vec());
        name.is_none_or(|name| names.iter().all(|found| normalized(found) != name))
    };
    let missing: Vec<_> = required(source, &wanted).filter(is_missing).collect();
    if missing.is_empty() {
        return Err(format!(
            "this looks like a CSV header row with quotes that are not around complete names; fix them, or add {format} to \
             read it as text"
        ));
    }
    let reason = missing_columns(&missing, &names, &wanted, source);
    Err(format!("this looks like a CSV header row, but it has {reason}; to read it as text, add {format}"))
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

/// The header of CSV for a file without a header row, whose first line is `line`.
pub(super) fn header_without_row(line: &[u8], columns: &[Option<Column>], options: &ReadOptions) -> Header {
    Header::without_row(columns, headerless_delimiter(line, columns.len(), options), options)
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
