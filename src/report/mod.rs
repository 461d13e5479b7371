//! The report of `adseg report`: counting, figures, and output as text, JSON, CSV and HTML.
//!
//! Each figure is defined once, in `definitions`. Every format renders the same sections.
//!
//! | file | content |
//! |---|---|
//! | `counting`, `totals` | the computation: counts of a partition, and their totals |
//! | `counts`, `reasons`, `money`, `names`, `periods`, `timeline` | parts of these counts |
//! | `lift` | the purchases of the customers of the ledger, and their comparison |
//! | `figure`, `definitions`, `policy_definitions` | what a figure and a table are, and all of them |
//! | `summary`, `sections` | the report: its first sentences, and its sections with tables and charts |
//! | `table`, `text`, `page`, `chart` | the report as JSON and CSV, as text, and as an HTML page with charts |

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

mod chart;
mod counting;
mod counts;
mod definitions;
mod figure;
mod lift;
mod money;
mod names;
mod page;
mod periods;
mod policy_definitions;
mod reasons;
mod sections;
mod summary;
mod table;
mod text;
mod timeline;
mod totals;

pub use counting::CountCampaign;
pub use page::page;
pub use sections::{Head, Report};
pub use table::{csv, json};
pub use text::text;
pub use totals::Totals;
