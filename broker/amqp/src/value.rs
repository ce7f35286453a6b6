//! Values of table fields: the types of RabbitMQ's errata to AMQP 0-9-1, section 3 ("Field types"), and their encoding.

use crate::wire::{Reader, size_of_long, with_length};
use crate::{Table, TableFault};
use bytes::Bytes;

/// The octets that say of what type a field is.
pub(crate) mod tag {
    pub(crate) const BOOL: u8 = b't';
    pub(crate) const I8: u8 = b'b';
    pub(crate) const U8: u8 = b'B';
    pub(crate) const I16: u8 = b's';
    pub(crate) const U16: u8 = b'u';
    pub(crate) const I32: u8 = b'I';
    pub(crate) const U32: u8 = b'i';
    pub(crate) const I64: u8 = b'l';
    /// The specification's own octet for the same; read, never written.
    pub(crate) const I64_TOO: u8 = b'L';
    pub(crate) const F32: u8 = b'f';
    pub(crate) const F64: u8 = b'd';
    pub(crate) const DECIMAL: u8 = b'D';
    pub(crate) const LONG_STRING: u8 = b'S';
    pub(crate) const ARRAY: u8 = b'A';
    pub(crate) const TIMESTAMP: u8 = b'T';
    pub(crate) const TABLE: u8 = b'F';
    pub(crate) const VOID: u8 = b'V';
    pub(crate) const BYTE_ARRAY: u8 = b'x';
}

/// The value of a table's field.
///
/// Equality is that of type and content; floating-point numbers are equal if their bits are.
#[derive(Clone, Debug)]
pub enum Value {
    /// `t`. On the wire, every octet but 0 is true.
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, or `L` from those who read the specification without the errata.
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` / 10^`scale`.
    Decimal {
        /// How many of the digits are decimal places.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S`: text, or any other octets.
    LongString(Bytes),
    /// `A`
    Array(Vec<Value>),
    /// `T`: seconds since 1970 UTC.
    Timestamp(u64),
    /// `F`
    Table(Table),
    /// `V`: there is no value.
    Void,
    /// `x`: octets that are no text.
    ByteArray(Bytes),
}

impl Value {
    /// The text of a long string, if it is one and UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The octets of a long string or a byte array.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongString(bytes) | Self::ByteArray(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, if it is an integer of any width.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(n) => Some(n.into()),
            Self::U8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            _ => None,
        }
    }

    /// Whether it is true, if it is a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The name of the type in RabbitMQ's messages: `longstr`, `signedint`, `bool` ...
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
            Self::ByteArray(_) => "binary",
        }
    }

    /// How deep tables and arrays are nested in it: 0 if it is neither.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Table(table) => table.depth(),
            Self::Array(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Appends the octet of the type, and the value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        fn put<const N: usize>(out: &mut Vec<u8>, tag: u8, bytes: [u8; N]) {
            out.push(tag);
            out.extend_from_slice(&bytes);
        }
        fn put_long(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
            put(out, tag, size_of_long(bytes.len()).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        match self {
            Self::Bool(value) => put(out, tag::BOOL, [u8::from(*value)]),
            Self::I8(n) => put(out, tag::I8, n.to_be_bytes()),
            Self::U8(n) => put(out, tag::U8, [*n]),
            Self::I16(n) => put(out, tag::I16, n.to_be_bytes()),
            Self::U16(n) => put(out, tag::U16, n.to_be_bytes()),
            Self::I32(n) => put(out, tag::I32, n.to_be_bytes()),
            Self::U32(n) => put(out, tag::U32, n.to_be_bytes()),
            Self::I64(n) => put(out, tag::I64, n.to_be_bytes()),
            Self::F32(n) => put(out, tag::F32, n.to_be_bytes()),
            Self::F64(n) => put(out, tag::F64, n.to_be_bytes()),
            Self::Decimal { scale, value } => {
                put(out, tag::DECIMAL, [*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::LongString(bytes) => put_long(out, tag::LONG_STRING, bytes),
            Self::ByteArray(bytes) => put_long(out, tag::BYTE_ARRAY, bytes),
            Self::Timestamp(seconds) => put(out, tag::TIMESTAMP, seconds.to_be_bytes()),
            Self::Void => out.push(tag::VOID),
            Self::Table(table) => {
                out.push(tag::TABLE);
                table.encode(out);
            }
            Self::Array(elements) => {
                out.push(tag::ARRAY);
                with_length(out, |out| elements.iter().for_each(|element| element.encode(out)));
            }
        }
    }

    /// Reads a value whose octets were validated or not; `depth` more levels of tables and arrays may follow.
    pub(crate) fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self, TableFault> {
        Ok(match reader.u8()? {
            tag::BOOL => Self::Bool(reader.u8()? != 0),
            tag::I8 => Self::I8(i8::from_be_bytes(reader.array()?)),
            tag::U8 => Self::U8(reader.u8()?),
            tag::I16 => Self::I16(i16::from_be_bytes(reader.array()?)),
            tag::U16 => Self::U16(reader.u16()?),
            tag::I32 => Self::I32(i32::from_be_bytes(reader.array()?)),
            tag::U32 => Self::U32(reader.u32()?),
            tag::I64 | tag::I64_TOO => Self::I64(i64::from_be_bytes(reader.array()?)),
            tag::F32 => Self::F32(f32::from_be_bytes(reader.array()?)),
            tag::F64 => Self::F64(f64::from_be_bytes(reader.array()?)),
            tag::DECIMAL => {
                let [scale, value @ ..] = reader.array::<5>()?;
                let value = u32::from_be_bytes(value);
                Self::Decimal { scale, value }
            }
            tag::LONG_STRING => Self::LongString(Bytes::copy_from_slice(reader.long()?)),
            tag::BYTE_ARRAY => Self::ByteArray(Bytes::copy_from_slice(reader.long()?)),
            tag::TIMESTAMP => Self::Timestamp(reader.u64()?),
            tag::VOID => Self::Void,
            tag::TABLE => {
                let depth = depth.checked_sub(1).ok_or(TableFault::TooDeep)?;
                Self::Table(Table::read(reader.long()?, depth)?)
            }
            tag::ARRAY => {
                let depth = depth.checked_sub(1).ok_or(TableFault::TooDeep)?;
                let mut inner = Reader::new(reader.long()?);
                let mut elements = Vec::new();
                while !inner.is_empty() {
                    elements.push(Self::read(&mut inner, depth)?);
                }
                Self::Array(elements)
            }
            unknown => return Err(TableFault::FieldType(unknown)),
        })
    }

    /// Walks over a value without building it.
    pub(crate) fn skip(reader: &mut Reader<'_>, depth: usize) -> Result<(), TableFault> {
        let size = match reader.u8()? {
            tag::VOID => 0,
            tag::BOOL | tag::I8 | tag::U8 => 1,
            tag::I16 | tag::U16 => 2,
            tag::I32 | tag::U32 | tag::F32 => 4,
            tag::DECIMAL => 5,
            tag::I64 | tag::I64_TOO | tag::F64 | tag::TIMESTAMP => 8,
            tag::LONG_STRING | tag::BYTE_ARRAY => reader.u32()? as usize,
            tag::TABLE => {
                let depth = depth.checked_sub(1).ok_or(TableFault::TooDeep)?;
                return Table::skip(reader.long()?, depth);
            }
            tag::ARRAY => {
                let depth = depth.checked_sub(1).ok_or(TableFault::TooDeep)?;
                let mut inner = Reader::new(reader.long()?);
                while !inner.is_empty() {
                    Self::skip(&mut inner, depth)?;
                }
                return Ok(());
            }
            unknown => return Err(TableFault::FieldType(unknown)),
        };
        reader.take(size)?;
        Ok(())
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident,)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Bool,
    i8 => I8,
    u8 => U8,
    i16 => I16,
    u16 => U16,
    i32 => I32,
    u32 => U32,
    i64 => I64,
    f32 => F32,
    f64 => F64,
    String => LongString,
    Bytes => LongString,
    Vec<Value> => Array,
    Table => Table,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::LongString(Bytes::copy_from_slice(text.as_bytes()))
    }
}
