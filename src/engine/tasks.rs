//! Doing tasks side by side.

use rayon::prelude::*;

/// A piece of work that touches nothing another one touches.
pub(super) type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Does all tasks, on the threads of the pool where that is `worthwhile`, and otherwise here: a few lines of a live pipe
/// are not worth waking another thread for.
///
/// The tasks come in the same order every round, and rayon hands them out in halves of halves: round after round the same
/// thread is likely to meet the same partitions, which are in its caches.
pub(super) fn side_by_side(worthwhile: bool, tasks: Vec<Task<'_>>) {
    if worthwhile {
        tasks.into_par_iter().with_max_len(1).for_each(|task| task());
    } else {
        tasks.into_iter().for_each(|task| task());
    }
}
