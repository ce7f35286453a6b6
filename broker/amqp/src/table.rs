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
