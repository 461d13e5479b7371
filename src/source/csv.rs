//! CSV with a header row: takes rows apart where they are read.
//!
//! Only a reader that has seen everything before knows whether a line feed ends a row or stands inside a quoted field,
//! so this is done here and not side by side. A block then holds, for each row, the columns that a record needs and the
//! row verbatim, in case it is bad. How the bytes of a row are found and unquoted is the matter of [`super::csv_rows`].

use std::io;
use std::sync::Arc;

use super::csv_rows::{Found, Rows};
use super::cut::{Cut, NextBlock};
use super::framing::{lines_of, push_table_row};
use super::{Block, Content, Feed, Framing, InputLabel, Patience, ReaderSettings, SourceError, TableHeader};
use crate::record::field::trim;
use crate::record::{CONVERSION_COLUMNS, CUSTOMER_COLUMNS, Expected, Quoted, Width, write_row};

/// Without these columns no conversion can be decided on; the others are missed only by a row that needs them.
const NEEDED_CONVERSION_COLUMNS: usize = 3;

/// How many columns of the header an error message names.
const SHOWN_COLUMNS: usize = 10;

/// Cuts one CSV input.
pub(super) struct CsvCutter<'a> {
    feed: &'a mut dyn Feed,
    settings: ReaderSettings,
    input: Arc<InputLabel>,
    rows: Rows,
    table: Option<Table>,
    /// Where in the input the next block begins.
    offset: u64,
    /// What was found and has to wait for the next block.
    pending: Option<Found>,
    /// Set while a row beyond the limit is handed over in pieces.
    oversized: bool,
    /// How the feed ended.
    end: Option<io::Result<()>>,
    told: bool,
}

/// What the header row says.
struct Table {
    header: Arc<TableHeader>,
    width: usize,
    /// For each column that a record needs, where it stands in a row.
    columns: Vec<Option<usize>>,
}

impl Cut for CsvCutter<'_> {
    fn next_block(&mut self, buffer: Vec<u8>) -> NextBlock {
        if self.told {
            return None;
        }
        let next = self.read_header().map_or_else(|error| Some(Err(error)), |()| self.next_rows(buffer));
        self.told = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<'a> CsvCutter<'a> {
    /// Cuts what `feed` gives.
    pub(super) fn new(feed: &'a mut dyn Feed, settings: ReaderSettings, input: Arc<InputLabel>) -> Self {
        Self {
            feed,
            settings,
            input,
            rows: Rows::default(),
            table: None,
            offset: 0,
            pending: None,
            oversized: false,
            end: None,
            told: false,
        }
    }

    /// Reads the header row unless it was read before, or there is nothing at all.
    fn read_header(&mut self) -> Result<(), SourceError> {
        let mut lines = 0;
        while self.table.is_none() {
            let found = self.next_found();
            if self.is_too_long(&found) {
                let what = format!("it is longer than {} bytes", self.settings.max_record_bytes);
                return Err(self.bad_header(lines, what));
            }
            match found {
                Found::NeedsMore if self.end.is_none() => drop(self.read(Patience::Wait)),
                Found::NeedsMore | Found::End => {
                    self.pending = Some(found);
                    return Ok(());
                }
                Found::Row { well_quoted: false } => {
                    let what = "its quotes do not pair up (is a quoted name never closed?)".to_owned();
                    return Err(self.bad_header(lines, what));
                }
                Found::Blank | Found::Row { .. } => {
                    if found != Found::Blank {
                        self.table = Some(self.table(lines)?);
                        self.offset += self.rows.passed_over();
                    }
                    self.offset += self.rows.raw().len() as u64;
                    lines += lines_of(self.rows.raw());
                    self.rows.finish_row();
                }
            }
        }
        Ok(())
    }

    /// What the header row says that was just parsed, behind so many blank lines.
    fn table(&self, lines_before: u64) -> Result<Table, SourceError> {
        let names: Vec<&[u8]> = self.rows.fields().map(trim).collect();
        if self.rows.width() > names.len() {
            return Err(self.bad_header(lines_before, format!("it has more than {} columns", names.len())));
        }
        let (wanted, needed) = match self.input.expected {
            Expected::Customers | Expected::Either => (CUSTOMER_COLUMNS.as_slice(), CUSTOMER_COLUMNS.len()),
            Expected::Conversions => (CONVERSION_COLUMNS.as_slice(), NEEDED_CONVERSION_COLUMNS),
        };
        let mut columns = Vec::with_capacity(wanted.len());
        for (index, name) in wanted.iter().enumerate() {
            let mut places = (0..names.len()).filter(|&place| names.get(place) == Some(&name.as_bytes()));
            let place = places.next();
            if place.is_none() && index < needed {
                let has: Vec<_> = names.iter().take(SHOWN_COLUMNS).map(|name| Quoted(name).to_string()).collect();
                let hint = match names.as_slice() {
                    [one] if one.contains(&b';') || one.contains(&b'\t') => "; columns are separated by commas only",
                    _ => "",
                };
                let what = format!("it has no column \"{name}\", only {}{hint}", has.join(", "));
                return Err(self.bad_header(lines_before, what));
            }
            if places.next().is_some() {
                return Err(self.bad_header(lines_before, format!("it has more than one column \"{name}\"")));
            }
            columns.push(place);
        }
        let raw = self.rows.raw().to_vec();
        let lines = lines_before + lines_of(&raw);
        Ok(Table { header: Arc::new(TableHeader { raw, lines }), width: self.rows.width(), columns })
    }

    fn bad_header(&self, lines_before: u64, what: String) -> SourceError {
        SourceError::Header { input: self.input.name.clone(), line: lines_before + 1, what }
    }

    /// A block of rows, or a piece of one that is beyond the limit, or what there is to say at the end.
    fn next_rows(&mut self, mut block: Vec<u8>) -> NextBlock {
        block.clear();
        let mut taken = 0;
        loop {
            let found = self.next_found();
            let more = !self.rows.raw().is_empty() || matches!(found, Found::Row { .. } | Found::Blank);
            if more && found != Found::End && (self.oversized || self.is_too_long(&found)) {
                if taken == 0 {
                    return self.piece(block, &found);
                }
                self.pending = Some(found);
                return self.hand_over(block, taken, Content::Records);
            }
            match found {
                Found::Blank | Found::Row { .. } => {
                    taken += self.rows.raw().len() as u64;
                    self.push(&mut block, &found);
                    self.rows.finish_row();
                    if block.len() >= self.settings.block_bytes {
                        return self.hand_over(block, taken, Content::Records);
                    }
                }
                Found::NeedsMore | Found::End if taken == 0 && self.end.is_some() => return self.finish(),
                Found::NeedsMore if taken == 0 => drop(self.read(Patience::Wait)),
                Found::NeedsMore if self.end.is_none() && self.read(Patience::TakeWhatIsThere) => {}
                Found::NeedsMore | Found::End => return self.hand_over(block, taken, Content::Records),
            }
        }
    }

    fn next_found(&mut self) -> Found {
        // What a failed read cut short is no row.
        self.pending.take().unwrap_or_else(|| self.rows.parse(matches!(self.end, Some(Ok(())))))
    }

    fn is_too_long(&self, found: &Found) -> bool {
        let limit = self.settings.max_record_bytes;
        match found {
            // What is still missing may be the line feed of a row that just fits.
            Found::NeedsMore => self.rows.raw().len() > limit.saturating_add(1),
            Found::Row { .. } | Found::Blank => self.rows.raw_without_line_feed().len() > limit,
            Found::End => false,
        }
    }

    /// Reads once. Says whether there was something to read, or an end.
    fn read(&mut self, patience: Patience) -> bool {
        match self.rows.read(self.feed, patience) {
            Ok(0) => self.end = Some(Ok(())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience == Patience::TakeWhatIsThere => {
                return false;
            }
            Err(error) => self.end = Some(Err(error)),
        }
        true
    }

    /// Puts the row that was found into the block.
    fn push(&self, block: &mut Vec<u8>, found: &Found) {
        let Some(table) = &self.table else { return };
        let rows = &self.rows;
        push_table_row(block, rows.raw(), |payload| {
            let width = match found {
                Found::Row { well_quoted: false } => Width::Misquoted,
                Found::Row { .. } if rows.width() == table.width => Width::AsHeader,
                Found::Row { .. } => Width::Differs { header: table.width as u32, row: rows.width() as u32 },
                Found::Blank | Found::NeedsMore | Found::End => return,
            };
            write_row(payload, width, table.columns.iter().map(|place| place.map(|place| rows.field(place))));
        });
    }

    /// Hands over what there is of a row that is beyond the limit.
    fn piece(&mut self, mut block: Vec<u8>, found: &Found) -> NextBlock {
        let last = *found != Found::NeedsMore;
        let content = if self.oversized { Content::OversizedRest { last } } else { Content::OversizedStart { last } };
        block.extend_from_slice(self.rows.raw());
        self.oversized = !last;
        if last {
            self.rows.finish_row();
        } else {
            self.rows.pass_over();
        }
        let taken = block.len() as u64;
        self.hand_over(block, taken, content)
    }

    /// Gives away `block`, which stands for the next `taken` bytes of the input.
    fn hand_over(&mut self, block: Vec<u8>, taken: u64, content: Content) -> NextBlock {
        let (offset, len) = (self.offset, block.len());
        self.offset = offset.saturating_add(taken);
        let block = Block::new(block, len, Arc::clone(&self.input), offset, Framing::Csv, content);
        Some(Ok(match &self.table {
            Some(table) => block.with_header(Arc::clone(&table.header)),
            None => block,
        }))
    }

    fn finish(&mut self) -> NextBlock {
        match self.end.take() {
            Some(Err(cause)) => {
                let byte = self.offset.saturating_add(self.rows.raw().len() as u64);
                Some(Err(SourceError::Read { input: self.input.name.clone(), byte, cause }))
            }
            Some(Ok(())) | None => None,
        }
    }
}
