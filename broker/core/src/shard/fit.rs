//! Walking over runs of records by their lengths: how many fit where, and where the n-th begins.

use crate::record::{self, Records, flags};
use crate::shard::chunk::{BODIES_MAX, BYTES_MAX, RECORDS_MAX};
use crate::shard::stored::CHUNK_HEADER;

/// How much of a run goes into a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) count: u16,
    pub(crate) bytes: usize,
    /// Octets of the bodies that lie apart.
    pub(crate) bodies: u64,
    /// Flags that any of the records has, and flags that all of them have.
    pub(crate) any: u8,
    pub(crate) all: u8,
}

impl Fit {
    pub(crate) fn any_persistent(self) -> bool {
        self.any & flags::PERSISTENT != 0
    }

    /// The part of it whose bodies apart fit into `bodies_max` octets.
    #[cold]
    fn with_bodies(self, bytes: &[u8], bodies_max: u64) -> Self {
        let mut part = Self {
            all: u8::MAX,
            ..Self::default()
        };
        let records = Records {
            bytes,
            count: self.count.into(),
        };
        for record in records.iter().take(self.count.into()) {
            let bodies = part.bodies + record.body_ref().map_or(0, |body| body.size);
            if bodies > bodies_max && bodies > part.bodies {
                break;
            }
            part.count += 1;
            part.bytes += record.bytes().len();
            part.bodies = bodies;
            part.any |= record.flags();
            part.all &= record.flags();
        }
        part
    }
}

/// The octets of a record's length, at the front of `bytes`.
pub(crate) fn length_at(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<4>() {
        Some(length) => u32::from_le_bytes(*length) as usize,
        None => 0,
    }
}

/// How many of at most `count_max` records at the front of `bytes` fit into `bytes_max` octets, and their bodies apart into `bodies_max`.
///
/// # Panics
/// If the octets are not whole records: whoever encoded them is wrong.
pub(crate) fn fit(bytes: &[u8], count_max: u16, bytes_max: usize, bodies_max: u64) -> Fit {
    let mut fit = Fit {
        all: u8::MAX,
        ..Fit::default()
    };
    while fit.count < count_max {
        let rest = &bytes[fit.bytes..];
        let length = length_at(rest);
        assert!(
            length >= record::PREFIX && length <= rest.len(),
            "a run of records holds {} octets that are no record",
            rest.len()
        );
        if fit.bytes + length > bytes_max {
            break;
        }
        fit.count += 1;
        fit.bytes += length;
        fit.any |= rest[4];
        fit.all &= rest[4];
    }
    if fit.any & flags::APART != 0 {
        return fit.with_bodies(bytes, bodies_max);
    }
    fit
}

/// How much of a run goes into a chunk of its own: at least one record.
pub(crate) fn fit_alone(records: Records<'_>) -> Fit {
    let fitting = fit(
        records.bytes,
        records.count.min(RECORDS_MAX.into()) as u16,
        BYTES_MAX - CHUNK_HEADER,
        BODIES_MAX,
    );
    if fitting.count == 0 {
        fit(records.bytes, 1, usize::MAX, u64::MAX)
    } else {
        fitting
    }
}

/// The first `n` records of a run, and the others.
pub(crate) fn split(records: Records<'_>, n: u64) -> (Records<'_>, Records<'_>) {
    if n >= u64::from(records.count) {
        return (records, Records::default());
    }
    let mut offset = 0;
    for _ in 0..n {
        offset += length_at(&records.bytes[offset..]).max(record::PREFIX);
    }
    let (front, back) = records.bytes.split_at(offset);
    (
        Records {
            bytes: front,
            count: n as u32,
        },
        Records {
            bytes: back,
            count: records.count - n as u32,
        },
    )
}
