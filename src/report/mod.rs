//! What `adseg report` shows: the figures of a campaign as tables, and the tables as text, JSON, CSV or a page.
//!
//! Every figure is defined once, in `tables`, and each way of writing it goes through the same tables, so they cannot
//! disagree. The names in them come from the data; `shown` keeps them from being anything but text wherever they go.
//! Counting is [`crate::tally`]'s.
//!
//! | file | what is in it |
//! |---|---|
//! | `table` | a table of figures: names, numbers, money |
//! | `tables` | the tables of a report, and what each figure counts |
//! | `shown` | names from the data as they are shown |
//! | `text`, `json`, `csv` | tables for a terminal, for programs, for a spreadsheet |
//! | `page` | tables and pictures as a page |
//! | `charts` | the pictures |

mod charts;
mod csv;
mod json;
mod page;
mod shown;
mod table;
mod tables;
mod text;

pub use self::csv::csv;
pub use json::json;
pub use page::page;
pub use table::{Figure, Listing, Name, Row, Table, Value};
pub use tables::tables;
pub use text::text;
