//! The messages of the test: a body says which one it is, and every octet of it follows from that.

/// A message: who published it, and the how-manieth of that publisher it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    pub publisher: u32,
    pub number: u64,
}

/// A body as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    pub id: Id,
    /// Every octet is as it was published.
    pub is_whole: bool,
}

impl Id {
    /// The id, and octets that follow from it, between none and `more_max` of them.
    pub fn body(self, more_max: usize) -> Vec<u8> {
        let mut body = self.publisher.to_be_bytes().to_vec();
        body.extend(self.number.to_be_bytes());
        let mix = self.mix();
        let more = if more_max == 0 { 0 } else { (mix >> 32) as usize % more_max };
        body.extend((more as u32).to_be_bytes());
        body.extend((0..more).map(|at| filler(mix, at)));
        body
    }

    fn mix(self) -> u64 {
        (self.number ^ u64::from(self.publisher) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Body {
    pub fn read(data: &[u8]) -> Self {
        let publisher = u32::from_be_bytes(data[..4].try_into().unwrap());
        let number = u64::from_be_bytes(data[4..12].try_into().unwrap());
        let more = u32::from_be_bytes(data[12..16].try_into().unwrap()) as usize;
        let id = Id { publisher, number };
        let is_whole = data.len() == 16 + more && data[16..].iter().enumerate().all(|(at, octet)| *octet == filler(id.mix(), at));
        Self { id, is_whole }
    }
}

fn filler(mix: u64, at: usize) -> u8 {
    (mix >> (at % 8 * 8)) as u8 ^ (at >> 3) as u8
}
