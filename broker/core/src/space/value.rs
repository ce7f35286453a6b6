//! The type system of tuples and templates: one for all wire formats. Values as they are seen, wherever they lie; when two are equal, and
//! which is the greater. docs/spaces.md tells it to users.

use super::number::{self, Decimal};
use super::owned::Owned;
use std::cmp::Ordering;
use stoa_amqp::{RawArray, RawTable, RawValue};

/// A value, borrowed from an encoded message or from a parsed body.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// There is a field, but no value.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of whatever width it had.
    Integer(i128),
    /// A floating-point number; those of 32 bits are widened.
    Float(f64),
    /// AMQP's `D`.
    Decimal(Decimal),
    /// UTF-8.
    Text(&'a str),
    /// Octets that are no text.
    Bytes(&'a [u8]),
    /// A point in time: nanoseconds since 1970 UTC.
    Timestamp(i128),
    /// Values in order.
    Array(Array<'a>),
    /// Values by name.
    Table(Fields<'a>),
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub enum Array<'a> {
    /// As AMQP encodes them.
    Wire(RawArray<'a>),
    /// Of a parsed body.
    Owned(&'a [Owned]),
}

/// The fields of a table.
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    /// As AMQP encodes them.
    Wire(RawTable<'a>),
    /// A message's headers without the control headers, whose names begin with `x-`.
    Headers(RawTable<'a>),
    /// Of a parsed body.
    Owned(&'a [(Box<[u8]>, Owned)]),
}

/// Nanoseconds in a second.
pub(crate) const NANOS: i128 = 1_000_000_000;

/// The types, as typed formals name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whatever the value; the field must be there.
    Any,
    /// [`Value::Null`]
    Null,
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Integer`]
    Integer,
    /// [`Value::Float`]
    Float,
    /// [`Value::Decimal`]
    Decimal,
    /// One of the three before.
    Number,
    /// [`Value::Text`]
    Text,
    /// [`Value::Bytes`]
    Bytes,
    /// [`Value::Timestamp`]
    Timestamp,
    /// [`Value::Array`]
    Array,
    /// [`Value::Table`]
    Table,
}

impl Kind {
    /// The names of the types in templates.
    pub const NAMES: [(&'static str, Kind); 12] = [
        ("any", Kind::Any),
        ("null", Kind::Null),
        ("bool", Kind::Bool),
        ("int", Kind::Integer),
        ("float", Kind::Float),
        ("decimal", Kind::Decimal),
        ("number", Kind::Number),
        ("string", Kind::Text),
        ("bytes", Kind::Bytes),
        ("timestamp", Kind::Timestamp),
        ("array", Kind::Array),
        ("table", Kind::Table),
    ];

    /// The type of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Whether a value is of this type.
    #[must_use]
    pub fn holds(self, value: Value<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Number => matches!(value, Value::Integer(_) | Value::Float(_) | Value::Decimal(_)),
            one => value.kind() == one,
        }
    }
}

impl<'a> Value<'a> {
    /// Its type: never [`Kind::Any`] or [`Kind::Number`].
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Decimal(_) => Kind::Decimal,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Array(_) => Kind::Array,
            Self::Table(_) => Kind::Table,
        }
    }

    /// Its type for an error's text.
    #[must_use]
    pub fn article(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Decimal(_) => "a decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "a timestamp",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// Whether both are the same value of the same type. NaN equals nothing; arrays and tables are not compared here and equal nothing.
    #[must_use]
    pub fn equals(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Integer(a), Value::Integer(b)) | (Self::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Self::Float(a), Value::Float(b)) => a == b,
            (Self::Decimal(a), Value::Decimal(b)) => a == b,
            (Self::Text(a), Value::Text(b)) => a == b,
            (Self::Bytes(a), Value::Bytes(b)) => a == b,
            _ => false,
        }
    }

    /// The order of numbers by value whatever their type, of texts by code point, of bytes, and of timestamps. Nothing else has one: not NaN,
    /// not values of two of these four.
    #[must_use]
    pub fn compare(self, other: Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(&b)),
            (a, b) => number::compare(a, b),
        }
    }
}

impl<'a> From<RawValue<'a>> for Value<'a> {
    /// A long string (`S`) that is UTF-8 is text, for it is all that most clients can send; any other is bytes, as a byte array (`x`) always is.
    fn from(raw: RawValue<'a>) -> Self {
        match raw {
            RawValue::Void => Self::Null,
            RawValue::Bool(flag) => Self::Bool(flag),
            RawValue::Integer(n) => Self::Integer(n.into()),
            RawValue::Float(n) => Self::Float(n),
            RawValue::Decimal { scale, value } => Self::Decimal(Decimal::new(value, scale)),
            RawValue::LongString(octets) => std::str::from_utf8(octets).map_or(Self::Bytes(octets), Self::Text),
            RawValue::ByteArray(octets) => Self::Bytes(octets),
            RawValue::Timestamp(seconds) => Self::Timestamp(i128::from(seconds) * NANOS),
            RawValue::Array(elements) => Self::Array(Array::Wire(elements)),
            RawValue::Table(table) => Self::Table(Fields::Wire(table)),
        }
    }
}

impl<'a> Array<'a> {
    /// The elements in their order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let (wire, owned) = match self {
            Self::Wire(array) => (Some(array), None),
            Self::Owned(elements) => (None, Some(elements)),
        };
        let wire = wire.into_iter().flat_map(RawArray::iter).map(Value::from);
        wire.chain(owned.into_iter().flatten().map(Owned::as_value))
    }
}

impl<'a> Fields<'a> {
    /// The fields with their names, in the order in which they lie.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let (wire, owned) = match self {
            Self::Wire(table) | Self::Headers(table) => (Some(table), None),
            Self::Owned(fields) => (None, Some(fields)),
        };
        let all = !matches!(self, Self::Headers(_));
        let wire = wire.into_iter().flat_map(RawTable::iter);
        let wire = wire.map(|(name, value)| (name.as_bytes(), value));
        let wire = wire.filter(move |(name, _)| all || !is_control(name));
        let owned = owned.into_iter().flatten();
        wire.map(|(name, value)| (name, Value::from(value)))
            .chain(owned.map(|(name, value)| (&**name, value.as_value())))
    }
}

/// Whether a header is one for the broker and so no field of a tuple.
pub(crate) fn is_control(name: &[u8]) -> bool {
    name.starts_with(b"x-")
}
