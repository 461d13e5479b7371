//! What the commands compute over the partitions: one [`Computation`](crate::engine::Computation) a file.
//!
//! | file | command |
//! |---|---|
//! | `decide` | `adseg run`: who gets a code, and the saved list |
//! | `check` | `adseg check`: what is in the data, and what is suspicious |
//! | `explain` | `adseg explain`: the history of some customers |
//! | `order` | `adseg order-check`: which decisions depend on the order of the files |
//! | `count` | `adseg report`: what the campaign did; how it is counted is in [`crate::report`] |

mod check;
mod count;
mod decide;
mod explain;
mod order;

pub use check::{Check, Findings, Names, Occurrences, WarningKind};
pub use count::CountCampaign;
pub use decide::{Decide, DecideState, saved_list};
pub use explain::{ConversionEntry, Entry, EntryKind, Explain, Histories, History};
pub use order::{DependentClicks, OrderCheck};
