//! What a message's key is: the value of a header, as a number of 128 bits. Keys are in the store, so the same value must give the same number
//! in every version (invariant 8).
//!
//! Two values are the same key if RabbitMQ takes them for the same: integers and times by their value, whatever their width; floating-point
//! numbers by theirs; text and octets alike. Collisions are not looked for: with `SipHash` and 128 bits even somebody who wants one needs 2^64 tries.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use stoa_amqp::content::{ContentHeader, Properties};
use stoa_amqp::{RawTable, Value};

use crate::record::Record;

/// The number that a header's value comes to.
pub(crate) type Key = u128;

/// Any numbers will do, but never others.
const SEED: (u64, u64) = (0x5374_6f61_206b_6579, 0x6f66_2061_206d_7367);

/// What kind of value follows; never used again for another kind.
pub(super) mod kind {
    pub(super) const INTEGER: u8 = 1;
    pub(super) const FLOAT: u8 = 2;
    pub(super) const OCTETS: u8 = 3;
    pub(super) const BOOL: u8 = 4;
    pub(super) const OTHER: u8 = 5;
    /// The values of several fields of a tuple.
    pub(in crate::shard::keys) const TUPLE: u8 = 6;
}

/// The headers of a message.
pub(crate) fn headers(record: Record<'_>) -> Option<RawTable<'_>> {
    let header = ContentHeader::decode(record.header()).ok()?;
    Properties::decode(header.properties).ok()?.headers
}

/// A message's key, if it has the header and that has a value.
pub(crate) fn key_of(record: Record<'_>, header: &[u8]) -> Option<Key> {
    key(&headers(record)?.get(header)?)
}

/// The key that a value is; none for no value.
fn key(value: &Value) -> Option<Key> {
    let integer = match value {
        Value::Void => return None,
        Value::Timestamp(seconds) => Some(i128::from(*seconds)),
        other => other.as_i64().map(i128::from),
    };
    Some(match value {
        _ if integer.is_some() => hash(kind::INTEGER, &integer.unwrap_or_default().to_le_bytes()),
        Value::F32(n) => float((*n).into()),
        Value::F64(n) => float(*n),
        Value::LongString(octets) | Value::ByteArray(octets) => hash(kind::OCTETS, octets),
        Value::Bool(flag) => hash(kind::BOOL, &[u8::from(*flag)]),
        other => {
            let mut octets = Vec::new();
            other.encode(&mut octets);
            hash(kind::OTHER, &octets)
        }
    })
}

fn float(n: f64) -> Key {
    // 0.0 and -0.0 are the same.
    hash(kind::FLOAT, &(n + 0.0).to_bits().to_le_bytes())
}

/// A number for octets of some kind.
pub(super) fn hash(kind: u8, octets: &[u8]) -> Key {
    let mut hasher = SipHasher24::new_with_keys(SEED.0, SEED.1);
    hasher.write(&[kind]);
    hasher.write(octets);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_amqp::Table;

    #[test]
    fn values_that_are_the_same_are_the_same_key() {
        let text = |text: &'static str| Value::from(text);
        let classes: [&[Value]; 10] = [
            &[
                Value::I8(7),
                Value::U8(7),
                Value::I16(7),
                Value::U32(7),
                Value::I64(7),
                Value::Timestamp(7),
            ],
            &[Value::I8(-1), Value::I64(-1)],
            &[Value::U8(255)],
            &[text("7"), Value::ByteArray("7".into())],
            &[text("")],
            &[Value::F32(7.0), Value::F64(7.0)],
            &[Value::F64(0.0), Value::F64(-0.0)],
            &[Value::Bool(true)],
            &[Value::Array(vec![Value::I8(7)])],
            &[Value::Table(Table::new())],
        ];
        for (n, class) in classes.iter().enumerate() {
            for (m, other) in classes.iter().enumerate() {
                for (a, b) in class.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    assert_eq!(key(a) == key(b), n == m, "{a:?} and {b:?}");
                }
            }
        }
        assert_eq!(key(&Value::Void), None);
    }

    /// What is in a data directory refers to these.
    #[test]
    fn keys_never_change() {
        let cases = [
            (Value::from("order-1"), 0x768a_c4e8_dc34_e3c0_6684_7c32_011e_b9d1),
            (Value::I32(42), 0x90c4_d05b_b519_5aa0_e22e_51f7_110a_8b48),
            (Value::F64(1.5), 0x264b_e1b1_60c9_e3f2_6123_c18b_c69b_74b2),
            (Value::Bool(false), 0xbf6c_607a_023a_10fe_d9e1_18c9_d768_b5ca),
        ];
        let found = cases.each_ref().map(|(value, _)| key(value).unwrap_or_default());
        assert_eq!(found, cases.map(|(_, expected)| expected), "{found:#x?}");
    }
}
