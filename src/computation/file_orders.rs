//! Which orders of the files give the most and the fewest codes.

use std::collections::BTreeMap;

use super::Hanging;

/// Orders of more files than this are not compared: the work doubles with each.
const MAX_FILES: usize = 12;

/// An order of files, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrder {
    /// The indexes of the inputs.
    pub inputs: Vec<usize>,
    /// How many of the clicks that hang on the order get a code.
    pub codes: u64,
}

/// What is at stake: how many clicks in one file hang on purchases in which others. Files are told by their places among
/// those that matter, a set of them by its bits.
struct Stakes {
    files: Vec<usize>,
    clicks: BTreeMap<(usize, usize), u64>,
}

impl FileOrder {
    /// The order that gives the most codes and the one that gives the fewest; among equals the one that differs the
    /// least from the order given, at its beginning. Only the files that matter are in it. `None` when there are too many
    /// of them.
    pub fn extremes(hanging: &[Hanging]) -> Option<(Self, Self)> {
        let stakes = Stakes::of(hanging)?;
        Some((stakes.best(|more, less| more > less), stakes.best(|less, more| less < more)))
    }
}

impl Stakes {
    fn of(hanging: &[Hanging]) -> Option<Self> {
        let inputs = hanging.iter().flat_map(|hanging| {
            std::iter::once(hanging.input).chain(hanging.purchases.iter().map(|(input, _)| *input))
        });
        let mut files: Vec<_> = inputs.collect();
        files.sort_unstable();
        files.dedup();
        if files.len() > MAX_FILES {
            return None;
        }
        let mut clicks = BTreeMap::new();
        for hanging in hanging {
            let place = |input: usize| files.binary_search(&input).unwrap_or_default();
            let bought = hanging.purchases.iter().fold(0, |bought, (input, _)| bought | 1 << place(*input));
            *clicks.entry((place(hanging.input), bought)).or_default() += hanging.clicks.count;
        }
        Some(Self { files, clicks })
    }

    /// How many codes a file gives when it comes right behind these.
    fn codes(&self, file: usize, before: usize) -> u64 {
        let clicks = self.clicks.range((file, 0)..=(file, usize::MAX));
        clicks.filter(|((_, bought), _)| bought & before != 0).map(|(_, clicks)| clicks).sum()
    }

    /// The best order. What a set of files gives together does not change what is best behind them, so it is enough to
    /// know for every set which file comes next; the sets are gone through from the largest one.
    fn best(&self, is_better: impl Fn(u64, u64) -> bool) -> FileOrder {
        let all = (1_usize << self.files.len()) - 1;
        // For every set that stands before: how many codes the rest gives, and which file comes next.
        let mut rest: Vec<(u64, usize)> = vec![(0, 0); all + 1];
        let of = |rest: &[(u64, usize)], set: usize| rest.get(set).copied().unwrap_or_default();
        for before in (0..all).rev() {
            let mut best = None;
            for file in (0..self.files.len()).filter(|file| before & 1 << file == 0) {
                let codes = self.codes(file, before) + of(&rest, before | 1 << file).0;
                if best.is_none_or(|(so_far, _)| is_better(codes, so_far)) {
                    best = Some((codes, file));
                }
            }
            if let (Some(slot), Some(best)) = (rest.get_mut(before), best) {
                *slot = best;
            }
        }
        let (mut inputs, mut before) = (Vec::new(), 0);
        while before != all {
            let (_, file) = of(&rest, before);
            inputs.extend(self.files.get(file));
            before |= 1 << file;
        }
        FileOrder { inputs, codes: of(&rest, 0).0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computation::Clicks;

    fn hanging(input: usize, count: u64, purchases: &[usize]) -> Hanging {
        Hanging {
            email: Box::default(),
            input,
            clicks: Clicks { count, first: 0, others: Vec::new(), send: false },
            purchases: purchases.iter().map(|&input| (input, 0)).collect(),
        }
    }

    #[test]
    fn purchases_first_give_the_most_codes_and_purchases_last_the_fewest() {
        let (most, fewest) = FileOrder::extremes(&[hanging(1, 5, &[3]), hanging(3, 2, &[1])]).unwrap();
        assert_eq!(most, FileOrder { inputs: vec![3, 1], codes: 5 });
        assert_eq!(fewest, FileOrder { inputs: vec![1, 3], codes: 2 });
    }

    #[test]
    fn one_earlier_file_with_a_purchase_is_enough() {
        let (most, fewest) = FileOrder::extremes(&[hanging(0, 1, &[1, 2]), hanging(1, 4, &[2])]).unwrap();
        assert_eq!(most, FileOrder { inputs: vec![2, 0, 1], codes: 5 });
        assert_eq!(fewest, FileOrder { inputs: vec![0, 1, 2], codes: 0 });
    }

    #[test]
    fn a_dozen_files_are_compared_and_more_are_not() {
        let chain = |files: usize| (1..files).map(|input| hanging(input, 1, &[input - 1])).collect::<Vec<_>>();
        let (most, fewest) = FileOrder::extremes(&chain(12)).unwrap();
        assert_eq!((most.codes, fewest.codes), (11, 0));
        assert_eq!(most.inputs, (0..12).collect::<Vec<_>>());
        assert_eq!(FileOrder::extremes(&chain(13)), None);
    }
}
