//! When values and tables are equal, and their hashes, which agree with that.

use crate::{ShortString, Table, Value};
use std::hash::{Hash, Hasher};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::I8(a), Self::I8(b)) => a == b,
            (Self::U8(a), Self::U8(b)) => a == b,
            (Self::I16(a), Self::I16(b)) => a == b,
            (Self::U16(a), Self::U16(b)) => a == b,
            (Self::I32(a), Self::I32(b)) => a == b,
            (Self::U32(a), Self::U32(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            (Self::Decimal { scale, value }, Self::Decimal { scale: s, value: v }) => (scale, value) == (s, v),
            (Self::LongString(a), Self::LongString(b)) | (Self::ByteArray(a), Self::ByteArray(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => a == b,
            (Self::Void, Self::Void) => true,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Bool(value) => value.hash(state),
            Self::I8(n) => n.hash(state),
            Self::U8(n) => n.hash(state),
            Self::I16(n) => n.hash(state),
            Self::U16(n) => n.hash(state),
            Self::I32(n) => n.hash(state),
            Self::U32(n) => n.hash(state),
            Self::I64(n) => n.hash(state),
            Self::F32(n) => n.to_bits().hash(state),
            Self::F64(n) => n.to_bits().hash(state),
            Self::Decimal { scale, value } => (scale, value).hash(state),
            Self::LongString(bytes) | Self::ByteArray(bytes) => bytes.hash(state),
            Self::Array(elements) => elements.hash(state),
            Self::Timestamp(seconds) => seconds.hash(state),
            Self::Table(table) => table.hash(state),
            Self::Void => {}
        }
    }
}

/// The fields by name; those of one name stay in their order.
fn sorted(table: &Table) -> Vec<&(ShortString, Value)> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (self.iter().eq(other) || sorted(self) == sorted(other))
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        sorted(self).hash(state);
    }
}
