//! Tables and arrays walked as they lie in a buffer: nothing is built. For those who look at the headers of message after message.

use crate::value::tag;
use crate::wire::Reader;
use crate::{RawTable, ShortStr, Table, TableFault, Value, WireError};

/// The value of a table's field, borrowed from the buffer. The types are those of [`Value`], but that the widths of integers are gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
    /// `t`
    Bool(bool),
    /// `b`, `B`, `s`, `u`, `I`, `i`, `l` or `L`
    Integer(i64),
    /// `f` or `d`
    Float(f64),
    /// `D`: `value` / 10^`scale`.
    Decimal {
        /// How many of the digits are decimal places.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S`: text, or any other octets.
    LongString(&'a [u8]),
    /// `A`
    Array(RawArray<'a>),
    /// `T`: seconds since 1970 UTC.
    Timestamp(u64),
    /// `F`
    Table(RawTable<'a>),
    /// `V`
    Void,
    /// `x`
    ByteArray(&'a [u8]),
}

impl<'a> RawValue<'a> {
    /// Reads a value that was validated before; so the octets of nested tables and arrays are taken as they are.
    fn read(reader: &mut Reader<'a>) -> Result<Self, TableFault> {
        Ok(match reader.u8()? {
            tag::BOOL => Self::Bool(reader.u8()? != 0),
            tag::I8 => Self::Integer(i8::from_be_bytes(reader.array()?).into()),
            tag::U8 => Self::Integer(reader.u8()?.into()),
            tag::I16 => Self::Integer(i16::from_be_bytes(reader.array()?).into()),
            tag::U16 => Self::Integer(reader.u16()?.into()),
            tag::I32 => Self::Integer(i32::from_be_bytes(reader.array()?).into()),
            tag::U32 => Self::Integer(reader.u32()?.into()),
            tag::I64 | tag::I64_TOO => Self::Integer(i64::from_be_bytes(reader.array()?)),
            tag::F32 => Self::Float(f32::from_be_bytes(reader.array()?).into()),
            tag::F64 => Self::Float(f64::from_be_bytes(reader.array()?)),
            tag::DECIMAL => {
                let [scale, value @ ..] = reader.array::<5>()?;
                let value = u32::from_be_bytes(value);
                Self::Decimal { scale, value }
            }
            tag::LONG_STRING => Self::LongString(reader.long()?),
            tag::BYTE_ARRAY => Self::ByteArray(reader.long()?),
            tag::TIMESTAMP => Self::Timestamp(reader.u64()?),
            tag::VOID => Self::Void,
            tag::TABLE => Self::Table(RawTable::of_validated(reader.long()?)),
            tag::ARRAY => Self::Array(RawArray(reader.long()?)),
            unknown => return Err(TableFault::FieldType(unknown)),
        })
    }
}

/// An array as it was found on the wire: known to be well-formed, not built.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RawArray<'a>(&'a [u8]);

impl<'a> RawArray<'a> {
    /// The elements of an array, without the length in front of them.
    ///
    /// # Errors
    /// [`WireError::Table`] if they are malformed: cut short, of an unknown type, or nested too deep.
    pub fn new(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            Value::skip(&mut reader, Table::DEPTH_MAX - 1).map_err(WireError::Table)?;
        }
        Ok(Self(bytes))
    }

    /// The elements, without the length in front of them.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The elements one after the other.
    #[must_use]
    pub fn iter(self) -> RawElements<'a> {
        RawElements(Reader::new(self.0))
    }
}

impl std::fmt::Debug for RawArray<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for RawArray<'a> {
    type Item = RawValue<'a>;
    type IntoIter = RawElements<'a>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The elements of an array in their order.
#[derive(Clone, Debug)]
pub struct RawElements<'a>(Reader<'a>);

impl<'a> Iterator for RawElements<'a> {
    type Item = RawValue<'a>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        RawValue::read(&mut self.0).ok()
    }
}

/// The fields of a table in their order.
#[derive(Clone, Debug)]
pub struct RawFields<'a>(Reader<'a>);

impl<'a> Iterator for RawFields<'a> {
    type Item = (ShortStr<'a>, RawValue<'a>);
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let name = self.0.short().ok()?;
        Some((name, RawValue::read(&mut self.0).ok()?))
    }
}

impl<'a> RawTable<'a> {
    /// The fields one after the other. Of a name that comes twice, both.
    #[must_use]
    pub fn iter(self) -> RawFields<'a> {
        RawFields(Reader::new(self.bytes()))
    }
}

impl<'a> IntoIterator for RawTable<'a> {
    type Item = (ShortStr<'a>, RawValue<'a>);
    type IntoIter = RawFields<'a>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    /// The same value as the owned one.
    fn same(raw: RawValue<'_>, value: &Value) -> bool {
        match (raw, value) {
            (RawValue::Bool(a), Value::Bool(b)) => a == *b,
            (RawValue::Integer(a), integer) if integer.as_i64().is_some() => Some(a) == integer.as_i64(),
            (RawValue::Float(a), Value::F32(b)) => a.to_bits() == f64::from(*b).to_bits() || (a.is_nan() && b.is_nan()),
            (RawValue::Float(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (RawValue::Decimal { scale, value }, Value::Decimal { scale: s, value: v }) => (scale, value) == (*s, *v),
            (RawValue::LongString(a), Value::LongString(b)) | (RawValue::ByteArray(a), Value::ByteArray(b)) => a == b,
            (RawValue::Timestamp(a), Value::Timestamp(b)) => a == *b,
            (RawValue::Void, Value::Void) => true,
            (RawValue::Array(a), Value::Array(b)) => a.iter().count() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (RawValue::Table(a), Value::Table(b)) => same_table(a, b),
            _ => false,
        }
    }

    fn same_table(raw: RawTable<'_>, table: &Table) -> bool {
        let alike =
            |((name, value), (n, v)): ((ShortStr<'_>, RawValue<'_>), &(crate::ShortString, Value))| name == n.as_short() && same(value, v);
        raw.iter().count() == table.len() && raw.iter().zip(table).all(alike)
    }

    proptest! {
        #[test]
        fn walking_finds_what_decoding_builds(table in testing::table()) {
            let octets = table.to_bytes();
            let raw = RawTable::new(&octets).expect("well-formed");
            prop_assert!(same_table(raw, &table));
        }

        #[test]
        fn any_octets_are_an_array_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let framed = [&b"\x01aA"[..], &(octets.len() as u32).to_be_bytes(), &octets].concat();
            prop_assert_eq!(RawArray::new(&octets).is_ok(), RawTable::new(&framed).is_ok());
            if let Ok(array) = RawArray::new(&octets) {
                prop_assert_eq!(Some(array.iter().count()), Table::decode(&framed).ok().and_then(|table| {
                    table.get("a").and_then(Value::as_array).map(<[Value]>::len)
                }));
            }
        }
    }
}
