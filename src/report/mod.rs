//! The report of `adseg report`: counting, figures, and output as text, JSON, CSV and HTML.
//!
//! Each figure is defined once, in `figures`. Every format renders the same tables.
//!
//! | file | content |
//! |---|---|
//! | `counting` | the computation: counts of a partition, and their totals |
//! | `counts`, `money`, `names` | parts of these counts |
//! | `figures` | the tables of a report, and the definition of each figure |
//! | `table`, `page` | tables as text, JSON and CSV, and as an HTML page with charts |

/// Implements `AddAssign` field by field. A field that is not listed is a compile error.
macro_rules! add_fields {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl std::ops::AddAssign for $type {
            fn add_assign(&mut self, other: Self) {
                let Self { $($field),+ } = other;
                $(self.$field += $field;)+
            }
        }
    };
}

mod counting;
mod counts;
mod figures;
mod money;
mod names;
mod page;
mod periods;
mod table;

pub use counting::{CountCampaign, Totals};
pub use figures::tables;
pub use page::page;
pub use table::{csv, json, text};
