//! What one partition counts for a report, and how the partitions' counts become those of the whole.
//!
//! Counting happens in one pass and in bounded memory: a few bytes for every customer, and a row for every promo,
//! channel, item and gender, of which only so many are told apart. Counts are merged in no particular order, so
//! whatever depends on the partitions must not be in them. What a report calls its figures, and how it looks, does not
//! live here; who is a member and who gets a code is the campaign's.
//!
//! | file | what is counted in it |
//! |---|---|
//! | `tallies` | everything that one partition sees |
//! | `groups` | what members did, and what the others did |
//! | `reach` | clicks by promo and channel, and how many customers they came from |
//! | `items` | how often an item was taken |
//! | `profiles` | what the loyalty rows say of the members |
//! | `course` | how the log went on, from its beginning to its end |
//! | `names` | names from the data, told apart up to a limit |
//! | `money` | exact sums of total costs |

mod course;
mod groups;
mod items;
mod money;
mod names;
mod profiles;
mod reach;
mod tallies;

pub use course::Stretch;
pub use groups::{Deeds, Group};
pub use items::ItemTally;
pub use money::{FRACTION_DIGITS, Sum, WHOLE_DIGITS};
pub use names::{Label, MAX_NAME_BYTES, MAX_NAMES};
pub use profiles::GenderTally;
pub use reach::{ChannelTally, Clicks, MAX_PAIRS, PromoTally};
pub use tallies::{Tallies, Totals};
