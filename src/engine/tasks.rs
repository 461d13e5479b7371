//! Doing tasks side by side.

use rayon::prelude::*;

/// A piece of work that touches nothing another one touches.
pub(super) type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Does all tasks, on the threads of the pool where that is `worthwhile`, and otherwise here: a few lines of a live pipe
/// are not worth waking another thread for.
///
/// Each step gives its tasks in the same order every time, and every thread gets its share of each step: round after
/// round the same thread is likely to meet the same partitions and slices, which are in its caches. A thread that is done
/// early helps another one.
pub(super) fn side_by_side<const STEPS: usize>(worthwhile: bool, steps: [Vec<Task<'_>>; STEPS]) {
    if worthwhile {
        let tasks = in_shares(rayon::current_num_threads(), steps);
        tasks.into_par_iter().with_max_len(1).for_each(|task| task());
    } else {
        steps.into_iter().flatten().for_each(|task| task());
    }
}

/// The shares of so many threads one after the other, each with a like part of every step.
fn in_shares<T, const STEPS: usize>(threads: usize, steps: [Vec<T>; STEPS]) -> Vec<T> {
    let mut steps = steps.map(|tasks| (tasks.len(), tasks.into_iter()));
    let mut shares = Vec::with_capacity(steps.iter().map(|(len, _)| len).sum());
    for thread in 1..=threads.max(1) {
        for (len, tasks) in &mut steps {
            let later = *len - *len * thread / threads.max(1);
            let share = tasks.len() - later;
            shares.extend(tasks.by_ref().take(share));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_gets_its_share_of_every_step_and_no_task_is_lost() {
        assert_eq!(in_shares(2, [vec![1, 2, 3, 4], vec![], vec![5, 6, 7]]), [1, 2, 5, 3, 4, 6, 7]);
        assert_eq!(in_shares(1, [vec![1, 2], vec![3]]), [1, 2, 3]);
        for threads in 1..9 {
            let mut shares = in_shares(threads, [(0..7).collect(), (7..17).collect::<Vec<_>>()]);
            shares.sort_unstable();
            assert_eq!(shares, (0..17).collect::<Vec<_>>());
        }
    }
}
