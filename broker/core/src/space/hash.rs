//! Hashes of fields and values. They are kept on disk with the index, so the function never changes; it needs no key, because what collides
//! is only looked at once more.

use super::number::Decimal;
use super::value::Value;

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xbf58_476d_1ce4_e5b9;
const C: u64 = 0x94d0_49bb_1331_11eb;

/// Two numbers made one: the halves of their product, folded.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ A) * u128::from(b ^ B);
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of some octets, eight at a time.
pub(super) fn octets(seed: u64, octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<8>();
    let mut hash = mix(seed, octets.len() as u64);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word), C);
    }
    let rest = rest.iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
    mix(hash ^ rest, A)
}

/// Where in tuples a value stands: by the names and positions that lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FieldId(pub(super) u64);

impl FieldId {
    /// The whole tuple.
    pub(super) const ROOT: Self = Self(C);

    pub(super) fn field(self, name: &[u8]) -> Self {
        Self(octets(self.0, name))
    }

    pub(super) fn element(self, index: usize) -> Self {
        Self(mix(self.0, !(index as u64)))
    }

    /// As the index on disk and in memory has it.
    pub(super) fn short(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The hash of a scalar: equal values have the same. `None` for arrays and tables.
pub(super) fn scalar(value: Value<'_>) -> Option<u64> {
    let integer = |kind: u64, n: i128| mix(mix(kind, n as u64), (n >> 64) as u64);
    Some(match value {
        Value::Null => mix(1, 0),
        Value::Bool(flag) => mix(2, flag.into()),
        Value::Integer(n) => integer(3, n),
        // 0.0 and -0.0 are equal.
        Value::Float(n) => mix(4, (n + 0.0).to_bits()),
        Value::Decimal(n) => decimal(n),
        Value::Text(text) => octets(6, text.as_bytes()),
        Value::Bytes(bytes) => octets(7, bytes),
        Value::Timestamp(nanos) => integer(8, nanos),
        Value::Array(_) | Value::Table(_) => return None,
    })
}

fn decimal(n: Decimal) -> u64 {
    let (digits, scale) = n.parts();
    mix(mix(5, digits.into()), scale.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_never_changes() {
        // These are on the disks of those who use spaces.
        let cases = [
            (octets(0, b""), scalar(Value::Integer(1)).unwrap_or_default()),
            (octets(0, b"0123456789"), scalar(Value::Text("1")).unwrap_or_default()),
            (FieldId::ROOT.field(b"a").0, FieldId::ROOT.element(0).0),
        ];
        assert_eq!(format!("{cases:x?}"), KNOWN);
    }

    const KNOWN: &str =
        "[(4de6bc0a075a64e4, 36b065d9de9e6432), (8b7a11938cd5f4b4, 8c9f10b08ded061b), (9da86ac3ffcbf683, 806f7eba5e0f3905)]";

    #[test]
    fn what_differs_in_type_or_place_differs_in_its_hash() {
        let mut hashes: Vec<_> = [
            Value::Null,
            Value::Bool(false),
            Value::Bool(true),
            Value::Integer(1),
            Value::Integer(-1),
            Value::Integer(1 << 64),
            Value::Float(1.0),
            Value::Decimal(Decimal::new(1, 0)),
            Value::Text("1"),
            Value::Text(""),
            Value::Text("\0"),
            Value::Text("\0\0"),
            Value::Bytes(b"1"),
            Value::Timestamp(1),
        ]
        .into_iter()
        .map(scalar)
        .collect();
        let root = FieldId::ROOT;
        let (ab, a, b) = (root.field(b"ab"), root.field(b"a"), root.field(b"b"));
        hashes.extend(
            [
                ab,
                a,
                b,
                a.field(b"b"),
                b.field(b"a"),
                root.element(0),
                root.element(1),
                a.element(0),
            ]
            .map(|id| Some(id.0)),
        );
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
