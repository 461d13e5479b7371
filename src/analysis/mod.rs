//! The computations of the commands: one [`Computation`](crate::engine::Computation) in each file. That of
//! `adseg report` is in [`crate::report`].
//!
//! | file | command |
//! |---|---|
//! | `decide` | `adseg run`: decisions, and the saved list |
//! | `check` | `adseg check`: counts and warnings |
//! | `copies`, `names` | exact copies of records, and counts of names, for `check` |
//! | `diff` | `adseg diff`: decisions that differ under two policies |
//! | `explain` | `adseg explain`: the histories of the requested emails |
//! | `suppress` | `--suppress` of several commands: the suppression lists |
//! | `order` | `adseg order-check`: clicks whose decision depends on the order of the files |

mod check;
mod copies;
mod decide;
mod diff;
mod explain;
mod names;
mod order;
mod suppress;

pub use check::{Check, Findings, WarningKind};
pub use decide::{Decide, DecideState, saved_list};
pub use diff::{ChangedCustomers, Diff, Differences};
pub use explain::{ConversionEntry, Entry, Explain, Histories, History, Totals, customer_key, normalized_email};
pub use names::{Names, Occurrences};
pub use order::{DependentClicks, OrderCheck};
pub use suppress::LoadSuppression;
