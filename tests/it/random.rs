//! Numbers that look random and are the same for the same seed.

/// The generator splitmix64.
pub(super) struct Random(u64);

impl Random {
    /// The numbers of one seed and one index.
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut random = Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.next() % end).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// The seed: `LOCALSTORE_SEED`, else 1. It is printed where it is used.
pub(super) fn seed() -> u64 {
    let asked = std::env::var("LOCALSTORE_SEED").ok();
    asked.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}
