//! Field tables (AMQP 0-9-1, section 4.2.5.5): as they lie in a buffer, and owned.

use crate::wire::{Reader, with_length};
use crate::{ShortStr, ShortString, TableFault, Value, WireError};

/// A table as it was found on the wire: known to be well-formed, not built.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RawTable<'a>(&'a [u8]);

impl<'a> RawTable<'a> {
    /// The fields of a table, without the length in front of them.
    ///
    /// # Errors
    /// [`WireError::Table`] if they are malformed: cut short, of an unknown type, or nested too deep.
    pub fn new(bytes: &'a [u8]) -> Result<Self, WireError> {
        Self::validated(bytes).map_err(WireError::Table)
    }

    pub(crate) fn validated(bytes: &'a [u8]) -> Result<Self, TableFault> {
        Table::skip(bytes, Table::DEPTH_MAX - 1)?;
        Ok(Self(bytes))
    }

    /// Of octets that were validated with what they are nested in.
    pub(crate) fn of_validated(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The fields, without the length in front of them.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first field of that name. Builds no other.
    #[must_use]
    pub fn get(self, name: impl AsRef<[u8]>) -> Option<Value> {
        let name = name.as_ref();
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            if reader.short().ok()?.as_bytes() == name {
                return Value::read(&mut reader, Table::DEPTH_MAX - 1).ok();
            }
            Value::skip(&mut reader, Table::DEPTH_MAX - 1).ok()?;
        }
        None
    }

    /// A copy that owns itself.
    #[must_use]
    pub fn to_table(self) -> Table {
        Table::read(self.0, Table::DEPTH_MAX - 1).unwrap_or_default()
    }
}

impl std::fmt::Debug for RawTable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_table().fmt(f)
    }
}

/// A table's octets, which a [`RawTable`] borrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedTable(Vec<u8>);

impl EncodedTable {
    /// As methods and properties take it.
    #[must_use]
    pub fn raw(&self) -> RawTable<'_> {
        RawTable(&self.0)
    }
}

/// A table that owns its fields, in the order in which they came.
///
/// Two tables are equal if they hold the same fields, whatever the order.
#[derive(Clone, Default)]
pub struct Table(Vec<(ShortString, Value)>);

impl Table {
    /// How deep tables and arrays may be nested, the outermost table counted.
    pub const DEPTH_MAX: usize = 32;

    /// A table with no fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&Value> {
        let name = name.as_ref();
        self.0.iter().find(|(field, _)| field.as_bytes() == name).map(|(_, value)| value)
    }

    /// Sets a field: in its place if there is one of that name, else at the end.
    pub fn insert(&mut self, name: impl Into<ShortString>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(field, _)| *field == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes the fields of that name away and returns the first one's value.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Option<Value> {
        let name = name.as_ref();
        let at = self.0.iter().position(|(field, _)| field.as_bytes() == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(field, _)| field.as_bytes() != name);
        Some(value)
    }

    /// The fields in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, (ShortString, Value)> {
        self.0.iter()
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the length in four octets, and the fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| self.encode_fields(out));
    }

    /// The fields without the length in front of them: what [`Table::decode`] and [`RawTable::new`] take.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_fields(&mut out);
        out
    }

    /// Encoded, to be sent as a field of a method or as a property.
    #[must_use]
    pub fn encoded(&self) -> EncodedTable {
        EncodedTable(self.to_bytes())
    }

    /// How deep it is nested: 1 if it holds no tables and arrays. What passes [`Table::DEPTH_MAX`] can be encoded, but not decoded again, so
    /// whoever builds tables from other sources than the wire asks this first.
    #[must_use]
    pub fn depth(&self) -> usize {
        1 + self.0.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            value.encode(out);
        }
    }

    /// Reads the fields of a table, without the length in front of them.
    ///
    /// # Errors
    /// [`WireError::Table`] if they are malformed: cut short, of an unknown type, or nested too deep.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::read(bytes, Self::DEPTH_MAX - 1).map_err(WireError::Table)
    }

    /// Reads fields; `depth` more levels of tables and arrays may follow.
    pub(crate) fn read(bytes: &[u8], depth: usize) -> Result<Self, TableFault> {
        let mut reader = Reader::new(bytes);
        let mut fields = Vec::new();
        while !reader.is_empty() {
            let name = reader.short()?.into();
            fields.push((name, Value::read(&mut reader, depth)?));
        }
        Ok(Self(fields))
    }

    /// Walks over fields without building them.
    pub(crate) fn skip(bytes: &[u8], depth: usize) -> Result<(), TableFault> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            reader.short()?;
            Value::skip(&mut reader, depth)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, value))).finish()
    }
}

impl<N: Into<ShortString>, V: Into<Value>> FromIterator<(N, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for Table {
    type Item = (ShortString, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a (ShortString, Value);
    type IntoIter = std::slice::Iter<'a, (ShortString, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<ShortStr<'_>> for Value {
    fn from(short: ShortStr<'_>) -> Self {
        Self::LongString(bytes::Bytes::copy_from_slice(short.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn every_type_has_the_octets_of_rabbitmqs_errata() {
        let cases: [(Value, &[u8]); 17] = [
            (Value::Bool(true), b"t\x01"),
            (Value::I8(-2), b"b\xfe"),
            (Value::U8(254), b"B\xfe"),
            (Value::I16(-2), b"s\xff\xfe"),
            (Value::U16(65_534), b"u\xff\xfe"),
            (Value::I32(-2), b"I\xff\xff\xff\xfe"),
            (Value::U32(7), b"i\0\0\0\x07"),
            (Value::I64(-2), b"l\xff\xff\xff\xff\xff\xff\xff\xfe"),
            (Value::F32(1.5), b"f\x3f\xc0\0\0"),
            (Value::F64(1.5), b"d\x3f\xf8\0\0\0\0\0\0"),
            (Value::Decimal { scale: 2, value: 1234 }, b"D\x02\0\0\x04\xd2"),
            (Value::from("text"), b"S\0\0\0\x04text"),
            (Value::Array(vec![Value::Void, Value::U8(1)]), b"A\0\0\0\x03VB\x01"),
            (Value::Timestamp(258), b"T\0\0\0\0\0\0\x01\x02"),
            (
                Value::Table([("k", Value::Bool(false))].into_iter().collect()),
                b"F\0\0\0\x04\x01kt\0",
            ),
            (Value::Void, b"V"),
            (Value::ByteArray(Bytes::from_static(b"\0\xff")), b"x\0\0\0\x02\0\xff"),
        ];
        for (value, octets) in cases {
            let fields = [b"\x01n", octets].concat();
            let table: Table = [("n", value)].into_iter().collect();
            assert_eq!(table.to_bytes(), fields);
            assert_eq!(Table::decode(&fields), Ok(table));
        }
    }

    #[test]
    fn what_others_write_is_understood() {
        let table = Table::decode(b"\x01aL\xff\xff\xff\xff\xff\xff\xff\xff\x01bt\x07").expect("a table");
        assert_eq!((table.get("a"), table.get("b")), (Some(&Value::I64(-1)), Some(&Value::Bool(true))));
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        let cases: &[(&[u8], TableFault)] = &[
            (b"\x01", TableFault::CutShort { wanted: 1, left: 0 }),
            (b"\x01a", TableFault::CutShort { wanted: 1, left: 0 }),
            (b"\x01aD\x02\0", TableFault::CutShort { wanted: 5, left: 2 }),
            (b"\x01aU\0\0", TableFault::FieldType(b'U')),
            (
                b"\x01aS\xff\xff\xff\xff",
                TableFault::CutShort {
                    wanted: u32::MAX as usize,
                    left: 0,
                },
            ),
            (b"\x01aA\0\0\0\x02I\0\0\0\0", TableFault::CutShort { wanted: 4, left: 1 }),
            (b"\x01aF\0\0\0\x01\x05V", TableFault::CutShort { wanted: 5, left: 0 }),
        ];
        for &(octets, fault) in cases {
            assert_eq!(Table::decode(octets), Err(WireError::Table(fault)));
            assert_eq!(RawTable::new(octets), Err(WireError::Table(fault)));
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels: usize| {
            (1..levels).fold(Table::new(), |inner, n| {
                let value = if n % 2 == 0 {
                    Value::Array(vec![Value::Table(inner)])
                } else {
                    Value::Table(inner)
                };
                [("n", value)].into_iter().collect()
            })
        };
        let mut deepest_taken = 0;
        for levels in 1..60 {
            let table = nested(levels);
            let octets = table.to_bytes();
            if table.depth() <= Table::DEPTH_MAX {
                assert_eq!(Table::decode(&octets), Ok(table));
                assert!(RawTable::new(&octets).is_ok());
                deepest_taken = levels;
            } else {
                assert_eq!(Table::decode(&octets), Err(WireError::Table(TableFault::TooDeep)));
                assert_eq!(RawTable::new(&octets), Err(WireError::Table(TableFault::TooDeep)));
            }
        }
        assert_eq!(nested(deepest_taken).depth(), Table::DEPTH_MAX);
        // A peer cannot use the stack up.
        let octets = (0..2000).fold(Vec::new(), |inner: Vec<u8>, _| {
            [b"\x01aF", &(inner.len() as u32).to_be_bytes()[..], &inner].concat()
        });
        assert_eq!(Table::decode(&octets), Err(WireError::Table(TableFault::TooDeep)));
    }

    #[test]
    fn fields_are_set_found_and_taken() {
        let mut table = Table::new();
        table.insert("a", 1);
        table.insert("b", "text");
        table.insert("a", 2u8);
        assert_eq!((table.len(), table.get("a")), (2, Some(&Value::U8(2))));
        assert_eq!((table.remove("a"), table.remove("a")), (Some(Value::U8(2)), None));
        assert_eq!(table.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(table.get("b").and_then(Value::as_str), Some("text"));
    }

    proptest! {
        #[test]
        fn a_table_reads_back(table in testing::table()) {
            let octets = table.to_bytes();
            prop_assert_eq!(Table::decode(&octets), Ok(table.clone()));
            let raw = RawTable::new(&octets).expect("well-formed");
            prop_assert_eq!(raw.to_table().to_bytes(), &octets[..]);
            for (name, _) in &table {
                let found = raw.get(name);
                prop_assert_eq!(found.as_ref(), table.get(name));
            }
            let mut with_length = Vec::new();
            table.encode(&mut with_length);
            prop_assert_eq!(with_length, [&(octets.len() as u32).to_be_bytes()[..], &octets].concat());
        }

        #[test]
        fn equality_does_not_look_at_the_order_and_hashes_agree(table in testing::table()) {
            let hasher = RandomState::new();
            let table = testing::ascending(&table);
            let reversed: Table = table.iter().rev().cloned().collect();
            prop_assert_eq!(&reversed, &table);
            prop_assert_eq!(hasher.hash_one(&reversed), hasher.hash_one(&table));
            let mut other = table.clone();
            other.insert("another", 1);
            prop_assert_ne!(other, table);
        }

        #[test]
        fn any_octets_are_a_table_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            match (Table::decode(&octets), RawTable::new(&octets)) {
                (Ok(table), Ok(raw)) => prop_assert_eq!(raw.to_table(), table),
                (Err(a), Err(b)) => prop_assert_eq!(a, b),
                (a, b) => prop_assert!(false, "{:?} and {:?}", a, b),
            }
        }
    }
}
