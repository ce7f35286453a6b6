//! A hash that is the same on every machine, in every version and after every restart: it decides where messages go.

/// FNV-1a over the octets, then mixed so that its every bit depends on all of them.
pub(super) fn hash(octets: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = octets
        .iter()
        .fold(OFFSET, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(PRIME));
    mix(hash)
}

/// The finalizer of splitmix64.
pub(super) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
