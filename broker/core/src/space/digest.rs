//! What an index knows of a tuple: for each scalar in it where it stands, a hash of it, and its place in the order of its type.

use super::hash::{self, FieldId};
use super::number::Decimal;
use super::tuple::Tuple;
use super::value::Value;

/// The arity of a positional tuple, or that it is a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u16);

impl Shape {
    pub(super) const RECORD: Self = Self(u16::MAX);

    pub(super) fn positional(arity: usize) -> Self {
        Self(arity.min(usize::from(u16::MAX - 1)) as u16)
    }
}

/// One scalar of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) field: FieldId,
    pub(super) hash: u64,
    /// 0 if it has no order.
    pub(super) image: u64,
}

/// The digest of a tuple. Keep one and [read](Self::read) each tuple into it: it allocates only to grow.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    pub(super) shape: Shape,
    /// In the order of the fields.
    pub(super) leaves: Vec<Leaf>,
    /// Two fields have the same hash: then nothing is said of any.
    pub(super) ambiguous: bool,
}

impl Digest {
    /// The digest of a tuple.
    #[must_use]
    pub fn of(tuple: &Tuple<'_>) -> Self {
        let mut digest = Self::default();
        digest.read(tuple);
        digest
    }

    /// Becomes the digest of this tuple.
    pub fn read(&mut self, tuple: &Tuple<'_>) {
        self.leaves.clear();
        let root = tuple.value();
        self.shape = match root {
            Value::Array(elements) => Shape::positional(elements.iter().count()),
            _ => Shape::RECORD,
        };
        self.add(root, FieldId::ROOT);
        self.leaves.sort_unstable_by_key(|leaf| leaf.field);
        self.ambiguous = self.leaves.array_windows().any(|[a, b]| a.field == b.field);
    }

    fn add(&mut self, value: Value<'_>, field: FieldId) {
        match value {
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.add(element, field.element(index));
                }
            }
            Value::Table(fields) => {
                for (name, value) in fields.iter() {
                    self.add(value, field.field(name));
                }
            }
            scalar => {
                let leaf = |hash| Leaf {
                    field,
                    hash,
                    image: image(scalar).unwrap_or(0),
                };
                self.leaves.extend(hash::scalar(scalar).map(leaf));
            }
        }
    }

    pub(super) fn get(&self, field: FieldId) -> Option<&Leaf> {
        let at = self.leaves.binary_search_by_key(&field, |leaf| leaf.field).ok()?;
        self.leaves.get(at)
    }
}

/// The bits of an image below its class.
pub(super) const ORDER_MASK: u64 = (1 << ORDER_BITS) - 1;
const ORDER_BITS: u32 = 61;

const NUMBER: u64 = 1 << ORDER_BITS;
const TEXT: u64 = 2 << ORDER_BITS;
const BYTES: u64 = 3 << ORDER_BITS;
const TIMESTAMP: u64 = 4 << ORDER_BITS;

/// The place of a value in the order of its class, rounded to 61 bits: of two values the one that is not greater has no greater image, give or
/// take one for decimals. `None` for what has no order.
pub(super) fn image(value: Value<'_>) -> Option<u64> {
    Some(match value {
        Value::Integer(n) => number(n as f64),
        Value::Float(n) if n.is_nan() => return None,
        Value::Float(n) => number(n),
        Value::Decimal(n) => number(Decimal::to_f64(n)),
        Value::Text(text) => TEXT | leading(text.as_bytes(), 0),
        Value::Bytes(octets) => BYTES | leading(octets, 0),
        Value::Timestamp(nanos) => {
            let nanos = nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            TIMESTAMP | (nanos.cast_unsigned() ^ 1 << 63) >> (64 - ORDER_BITS)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Table(_) => return None,
    })
}

/// The least and the greatest image of what begins like this text or these bytes.
pub(super) fn prefix_images(prefix: Value<'_>) -> Option<(u64, u64)> {
    match prefix {
        Value::Text(text) => Some((TEXT | leading(text.as_bytes(), 0), TEXT | leading(text.as_bytes(), 0xff))),
        Value::Bytes(octets) => Some((BYTES | leading(octets, 0), BYTES | leading(octets, 0xff))),
        _ => None,
    }
}

fn number(n: f64) -> u64 {
    let bits = (n + 0.0).to_bits();
    let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    NUMBER | ordered >> (64 - ORDER_BITS)
}

/// The first octets, filled up with others.
fn leading(octets: &[u8], fill: u8) -> u64 {
    let mut word = [fill; 8];
    word.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    u64::from_be_bytes(word) >> (64 - ORDER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered() -> impl Strategy<Value = super::super::Owned> {
        use super::super::Owned;
        prop_oneof![
            any::<i128>().prop_map(Owned::Integer),
            (-5..5i128).prop_map(Owned::Integer),
            any::<f64>().prop_map(Owned::Float),
            (-5..5i8).prop_map(|n| Owned::Float(f64::from(n) / 2.0)),
            (any::<u32>(), any::<u8>()).prop_map(|(digits, scale)| Owned::Decimal(Decimal::new(digits, scale))),
            (0..50u32, 0..3u8).prop_map(|(digits, scale)| Owned::Decimal(Decimal::new(digits, scale))),
            "[a-c]{0,12}".prop_map(|text| Owned::Text(text.into())),
            ".{0,4}".prop_map(|text| Owned::Text(text.into())),
            proptest::collection::vec(any::<u8>(), 0..12).prop_map(|octets| Owned::Bytes(octets.into())),
            any::<i64>().prop_map(|nanos| Owned::Timestamp(nanos.into())),
            any::<i128>().prop_map(Owned::Timestamp),
        ]
    }

    proptest! {
        #[test]
        fn images_keep_the_order(a in ordered(), b in ordered()) {
            let (a, b) = (a.as_value(), b.as_value());
            if let Some(order) = a.compare(b) {
                let (x, y) = (image(a).expect("ordered"), image(b).expect("ordered"));
                prop_assert_eq!(x & !ORDER_MASK, y & !ORDER_MASK);
                if order.is_lt() {
                    prop_assert!(x <= y + 1);
                } else if order.is_eq() {
                    prop_assert!(x.abs_diff(y) <= 1);
                }
            }
        }

        #[test]
        fn what_is_equal_has_one_hash(a in ordered(), b in ordered()) {
            let (a, b) = (a.as_value(), b.as_value());
            if a.equals(b) {
                prop_assert_eq!(hash::scalar(a), hash::scalar(b));
            }
        }
    }
}
