//! Sets of small numbers, a bit each.

/// A set of numbers below a size that is fixed when it is made. It keeps only the words
/// between its first and its last member, so that the pods of one namespace cost little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits {
    /// The index of the first word that is kept.
    start: usize,
    words: Vec<u64>,
}

impl Bits {
    pub(super) fn full(size: usize) -> Self {
        Self::range(0..size)
    }

    pub(super) fn range(range: std::ops::Range<usize>) -> Self {
        let mut bits = Self::default();
        if range.is_empty() {
            return bits;
        }
        bits.start = range.start / 64;
        bits.words = vec![u64::MAX; range.end.div_ceil(64) - bits.start];
        bits.words[0] &= u64::MAX << (range.start % 64);
        let over = (64 - range.end % 64) % 64;
        if let Some(last) = bits.words.last_mut() {
            *last &= u64::MAX >> over;
        }
        bits
    }

    /// From members in rising order.
    pub(super) fn of(members: impl IntoIterator<Item = usize>) -> Self {
        let mut bits = Self::default();
        for member in members {
            if bits.words.is_empty() {
                bits.start = member / 64;
            }
            let at = member / 64 - bits.start;
            if at >= bits.words.len() {
                bits.words.resize(at + 1, 0);
            }
            bits.words[at] |= 1 << (member % 64);
        }
        bits
    }

    pub(super) fn contains(&self, member: usize) -> bool {
        let at = (member / 64).wrapping_sub(self.start);
        self.words.get(at).is_some_and(|word| word >> (member % 64) & 1 == 1)
    }

    pub(super) fn set(&mut self, member: usize, is_member: bool) {
        let word = member / 64;
        if word < self.start || word >= self.start + self.words.len() {
            if !is_member {
                return;
            }
            self.cover(word);
        }
        let bit = 1 << (member % 64);
        let at = word - self.start;
        if is_member {
            self.words[at] |= bit;
        } else {
            self.words[at] &= !bit;
        }
    }

    fn cover(&mut self, word: usize) {
        if self.words.is_empty() {
            self.start = word;
        }
        if word < self.start {
            let gap = self.start - word;
            self.words.splice(0..0, std::iter::repeat_n(0, gap));
            self.start = word;
        }
        if word >= self.start + self.words.len() {
            self.words.resize(word - self.start + 1, 0);
        }
    }

    /// Adds the members of another set.
    pub(super) fn add(&mut self, other: &Self) {
        if other.words.is_empty() {
            return;
        }
        self.cover(other.start);
        self.cover(other.start + other.words.len() - 1);
        for (at, more) in other.words.iter().enumerate() {
            self.words[other.start + at - self.start] |= more;
        }
    }

    /// Takes out the members of another set.
    #[must_use]
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut words = self.words.clone();
        for (at, word) in words.iter_mut().enumerate() {
            let other_at = (self.start + at).wrapping_sub(other.start);
            *word &= !other.words.get(other_at).copied().unwrap_or_default();
        }
        Self { start: self.start, words }
    }

    #[must_use]
    pub(super) fn and(&self, other: &Self) -> Self {
        let start = self.start.max(other.start);
        let end = (self.start + self.words.len()).min(other.start + other.words.len());
        let words = (start..end.max(start))
            .map(|at| self.words[at - self.start] & other.words[at - other.start])
            .collect();
        Self { start, words }
    }

    /// The members in rising order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(move |(at, word)| {
            let base = (self.start + at) * 64;
            std::iter::successors((*word != 0).then_some(*word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| base + rest.trailing_zeros() as usize)
        })
    }
}

/// A row of a matrix: a bit for each column, all words kept.
pub(super) trait Row {
    fn add(&mut self, bits: &Bits);
    /// Adds the members of `bits` that are in `mask`, too.
    fn add_masked(&mut self, bits: &Bits, mask: &[u64]);
}

impl Row for [u64] {
    fn add(&mut self, bits: &Bits) {
        for (word, more) in self[bits.start..].iter_mut().zip(&bits.words) {
            *word |= more;
        }
    }

    fn add_masked(&mut self, bits: &Bits, mask: &[u64]) {
        let masked = self[bits.start..].iter_mut().zip(&mask[bits.start..]);
        for ((word, mask), more) in masked.zip(&bits.words) {
            *word |= more & mask;
        }
    }
}

/// Turns rows into columns: bit `c` of row `r` becomes bit `r` of row `c`. Both have
/// `stride` words a row, and as many rows as columns, a multiple of 64.
pub(super) fn transpose(rows: &mut [u64], stride: usize) {
    for high in 0..stride {
        for low in 0..=high {
            let block = |row: usize, column: usize| -> [u64; 64] {
                let mut block = std::array::from_fn(|at| rows[(row * 64 + at) * stride + column]);
                transpose_block(&mut block);
                block
            };
            let (above, below) = (block(low, high), block(high, low));
            for at in 0..64 {
                rows[(high * 64 + at) * stride + low] = above[at];
                rows[(low * 64 + at) * stride + high] = below[at];
            }
        }
    }
}

/// The same for 64 × 64 bits: swaps ever smaller quarters.
fn transpose_block(block: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_ffff_ffff_u64);
    while width != 0 {
        let mut at = 0;
        while at < 64 {
            let swap = ((block[at] >> width) ^ block[at + width]) & mask;
            block[at] ^= swap << width;
            block[at + width] ^= swap;
            at = (at + width + 1) & !width;
        }
        width >>= 1;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(
            mut members in proptest::collection::btree_set(0_usize..400, 0..40),
            more in 0_usize..400,
        ) {
            let mut bits = Bits::of(members.iter().copied());
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), members.iter().copied().collect::<Vec<_>>());
            bits.set(more, true);
            members.insert(more);
            for number in 0..500 {
                prop_assert_eq!(bits.contains(number), members.contains(&number));
            }
            bits.set(more, false);
            prop_assert!(!bits.contains(more));
        }

        #[test]
        fn a_range_holds_its_numbers(start in 0_usize..200, length in 0_usize..200) {
            let bits = Bits::range(start..start + length);
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), (start..start + length).collect::<Vec<_>>());
        }

        #[test]
        fn a_transposed_matrix_has_its_bits_mirrored(seed in any::<u64>()) {
            let stride = 3;
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
            let before: Vec<u64> = (0..stride * stride * 64).map(|_| next()).collect();
            let mut after = before.clone();
            transpose(&mut after, stride);
            let bit = |rows: &[u64], row: usize, column: usize| rows[row * stride + column / 64] >> (column % 64) & 1;
            for row in 0..stride * 64 {
                for column in 0..stride * 64 {
                    prop_assert_eq!(bit(&before, row, column), bit(&after, column, row));
                }
            }
        }
    }
}
