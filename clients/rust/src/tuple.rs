//! Tuples and templates of the shared data space, and their translation to AMQP's values. docs/spaces.md says what they mean. Nothing here sends anything.

use std::ops::RangeFull;

use lapin::types::{FieldArray, LongString, ShortString};

use crate::{Message, Table, Value};

/// A tuple: a record of named values, or values in order. Made by [`tuple!`](crate::tuple!).
#[derive(Clone, Debug, PartialEq)]
pub enum Tuple {
    /// Values by name. At the root, names that begin with `x-` are the broker's.
    Record(Table),
    /// Values in order.
    Positional(FieldArray),
}

/// A template for tuples. Made by [`template!`](crate::template!).
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// Matches records with such fields, and maybe others.
    Record(Table),
    /// Matches positional tuples of such values.
    Positional(FieldArray),
}

/// What one value of a tuple is to be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Value);

/// What can be a value in a tuple. Integers of more than 64 bits, and `u64`, have no type in AMQP.
pub trait IntoDatum {
    /// As AMQP's value.
    fn into_datum(self) -> Value;
}

/// What can stand in a template: a value, which matches itself; a [`Pattern`]; a nested template; `..` at the end of a positional one.
pub trait IntoPattern {
    /// As a pattern.
    fn into_pattern(self) -> Pattern;
}

macro_rules! datum {
    ($($type:ty => $variant:ident,)*) => {$(
        impl IntoDatum for $type {
            fn into_datum(self) -> Value {
                Value::$variant(self.into())
            }
        }
    )*};
}

datum! {
    bool => Boolean,
    i8 => ShortShortInt,
    u8 => ShortShortUInt,
    i16 => ShortInt,
    u16 => ShortUInt,
    i32 => LongInt,
    u32 => LongUInt,
    i64 => LongLongInt,
    f32 => Float,
    f64 => Double,
    &str => LongString,
    String => LongString,
    Vec<u8> => ByteArray,
    &[u8] => ByteArray,
}

impl IntoDatum for Value {
    fn into_datum(self) -> Value {
        self
    }
}

/// `None` is null.
impl<T: IntoDatum> IntoDatum for Option<T> {
    fn into_datum(self) -> Value {
        self.map_or(Value::Void, IntoDatum::into_datum)
    }
}

/// A nested table or array.
impl IntoDatum for Tuple {
    fn into_datum(self) -> Value {
        match self {
            Self::Record(table) => Value::FieldTable(table),
            Self::Positional(array) => Value::FieldArray(array),
        }
    }
}

impl<T: IntoDatum> IntoPattern for T {
    fn into_pattern(self) -> Pattern {
        Pattern(literal(self.into_datum()))
    }
}

impl IntoPattern for Pattern {
    fn into_pattern(self) -> Pattern {
        self
    }
}

impl IntoPattern for Template {
    fn into_pattern(self) -> Pattern {
        match self {
            Self::Record(table) => operator("is", Value::FieldTable(table)),
            Self::Positional(array) => Pattern(Value::FieldArray(array)),
        }
    }
}

impl IntoPattern for RangeFull {
    fn into_pattern(self) -> Pattern {
        Pattern("...".into_datum())
    }
}

/// A value as a pattern that matches it, whatever its names and texts are.
fn literal(value: Value) -> Value {
    match value {
        Value::FieldTable(table) => {
            let fields = table.inner().iter().map(|(name, value)| (name.clone(), literal(value.clone())));
            operator("is", Value::FieldTable(fields.collect::<std::collections::BTreeMap<_, _>>().into())).0
        }
        Value::FieldArray(array) => {
            let elements: Vec<_> = array.as_slice().iter().cloned().map(literal).collect();
            Value::FieldArray(elements.into())
        }
        Value::LongString(text) if text.as_bytes() == b"..." => operator("is", Value::LongString(text)).0,
        scalar => scalar,
    }
}

fn operator(name: &str, operand: Value) -> Pattern {
    Pattern(Value::FieldTable(table([(name, operand)])))
}

fn table<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    let mut table = Table::default();
    for (name, value) in fields {
        table.insert(ShortString::from(name), value);
    }
    table
}

/// The patterns that are no plain values.
pub mod pattern {
    use super::{FieldArray, IntoDatum, IntoPattern, LongString, Pattern, Value, literal, operator};

    /// The types of values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Type {
        /// Whatever it is, if it is there.
        Any,
        /// Null.
        Null,
        /// A boolean.
        Bool,
        /// An integer of any width.
        Int,
        /// A floating-point number.
        Float,
        /// A decimal.
        Decimal,
        /// An integer, a float or a decimal.
        Number,
        /// Text.
        String,
        /// Octets that are no text.
        Bytes,
        /// A point in time.
        Timestamp,
        /// A nested array.
        Array,
        /// A nested table.
        Table,
    }

    /// A value of this type.
    #[must_use]
    pub fn of_type(kind: Type) -> Pattern {
        let name = match kind {
            Type::Any => "any",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::Decimal => "decimal",
            Type::Number => "number",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Array => "array",
            Type::Table => "table",
        };
        operator("?", name.into_datum())
    }

    /// Any value.
    #[must_use]
    pub fn any() -> Pattern {
        of_type(Type::Any)
    }

    /// An integer.
    #[must_use]
    pub fn int() -> Pattern {
        of_type(Type::Int)
    }

    /// Text.
    #[must_use]
    pub fn string() -> Pattern {
        of_type(Type::String)
    }

    macro_rules! operators {
        ($($(#[$doc:meta])* $function:ident $name:literal)*) => {$(
            $(#[$doc])*
            #[must_use]
            pub fn $function(operand: impl IntoDatum) -> Pattern {
                operator($name, operand.into_datum())
            }
        )*};
    }

    operators! {
        /// Greater than this.
        gt "gt"
        /// This or greater.
        ge "ge"
        /// Less than this.
        lt "lt"
        /// This or less.
        le "le"
        /// There, and not this.
        ne "ne"
        /// Text or bytes that begin like this.
        prefix "prefix"
        /// Text or bytes that end like this.
        suffix "suffix"
    }

    /// One of these values.
    pub fn one_of<T: IntoDatum>(values: impl IntoIterator<Item = T>) -> Pattern {
        let values: Vec<_> = values.into_iter().map(IntoDatum::into_datum).collect();
        operator("in", Value::FieldArray(FieldArray::from(values)))
    }

    /// There, whatever it is, or not there.
    #[must_use]
    pub fn exists(there: bool) -> Pattern {
        operator("exists", Value::Boolean(there))
    }

    /// What the pattern does not match; what is not there, too.
    #[must_use]
    pub fn not(pattern: impl IntoPattern) -> Pattern {
        operator("not", pattern.into_pattern().0)
    }

    /// What one of the patterns matches.
    pub fn any_of<T: IntoPattern>(patterns: impl IntoIterator<Item = T>) -> Pattern {
        let patterns: Vec<_> = patterns.into_iter().map(|pattern| pattern.into_pattern().0).collect();
        operator("any", Value::FieldArray(FieldArray::from(patterns)))
    }

    /// This text, even if it is `...`, which elsewhere stands for more values.
    #[must_use]
    pub fn text(text: &str) -> Pattern {
        Pattern(literal(Value::LongString(LongString::from(text))))
    }

    impl Pattern {
        /// What matches this and the other: `ge(1).and(lt(10))`.
        ///
        /// # Panics
        /// If both ask for the same, as `ge(1).and(ge(2))`, or one is no operator but a value.
        #[must_use]
        pub fn and(self, other: Self) -> Self {
            let (Value::FieldTable(mut ours), Value::FieldTable(theirs)) = (self.0, other.0) else {
                panic!("only operators are joined");
            };
            for (name, operand) in theirs.inner() {
                assert!(!ours.contains_key(name.as_str()), "{name} is asked for twice");
                ours.insert(name.clone(), operand.clone());
            }
            Self(Value::FieldTable(ours))
        }
    }
}

impl Tuple {
    /// A record.
    ///
    /// # Panics
    /// If a name is longer than the 255 octets that AMQP has room for.
    pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Record(table(fields))
    }

    /// A positional tuple.
    pub fn positional(values: impl Into<Vec<Value>>) -> Self {
        Self::Positional(values.into().into())
    }

    /// The message that puts the tuple into a space.
    #[must_use]
    pub fn message(&self, space: &str) -> Message {
        let message = Message::new("", space, "");
        match self {
            Self::Record(table) => {
                let fields = table.inner().iter();
                fields.fold(message, |message, (name, value)| message.header(name.as_str(), value.clone()))
            }
            Self::Positional(array) => message.header("x-tuple", Value::FieldArray(array.clone())),
        }
    }
}

impl Tuple {
    /// The tuple of a message, by its headers.
    pub(crate) fn of_delivery(delivery: &crate::Delivery) -> Self {
        let headers = delivery.properties().headers().clone().unwrap_or_default();
        match headers.inner().get("x-tuple") {
            Some(Value::FieldArray(values)) => Self::Positional(values.clone()),
            _ => {
                let fields = headers.inner().iter().filter(|(name, _)| !name.as_str().starts_with("x-"));
                let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
                Self::Record(fields.collect::<std::collections::BTreeMap<_, _>>().into())
            }
        }
    }
}

impl Template {
    /// A template for records.
    ///
    /// # Panics
    /// If a name is longer than the 255 octets that AMQP has room for.
    pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Pattern)>) -> Self {
        Self::Record(table(fields.into_iter().map(|(name, pattern)| (name, pattern.0))))
    }

    /// A template for positional tuples.
    pub fn positional(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let patterns: Vec<_> = patterns.into_iter().map(|pattern| pattern.0).collect();
        Self::Positional(patterns.into())
    }

    /// The value of the argument `x-template`.
    #[must_use]
    pub fn argument(&self) -> Value {
        match self {
            // Alone at the root these are no fields.
            Self::Record(table) if ["any", "not", "is"].iter().any(|name| table.contains_key(name)) => self.clone().into_pattern().0,
            Self::Record(table) => Value::FieldTable(table.clone()),
            Self::Positional(array) => Value::FieldArray(array.clone()),
        }
    }
}

/// Makes a [`Tuple`]: `tuple! { "type": "order", "id": 7 }` or `tuple!["job", 7]`. Values are anything that is [`IntoDatum`].
#[macro_export]
macro_rules! tuple {
    ($($name:literal : $value:expr),+ $(,)?) => {
        $crate::Tuple::record([$(($name, $crate::IntoDatum::into_datum($value))),+])
    };
    ($($value:expr),* $(,)?) => {
        $crate::Tuple::positional([$($crate::IntoDatum::into_datum($value)),*])
    };
}

/// Makes a [`Template`]: `template! { "type": "order", "id": int(), "price": ge(5).and(lt(9)) }`, or `template!["job", any(), ..]`, where `..` allows more values. What
/// stands for values is anything that is [`IntoPattern`]: values, the functions of [`pattern`], nested templates.
#[macro_export]
macro_rules! template {
    ($($name:literal : $pattern:expr),+ $(,)?) => {
        $crate::Template::record([$(($name, $crate::IntoPattern::into_pattern($pattern))),+])
    };
    ($($pattern:expr),* $(,)?) => {
        $crate::Template::positional([$($crate::IntoPattern::into_pattern($pattern)),*])
    };
}

#[cfg(test)]
mod tests {
    use super::pattern::{any, any_of, exists, ge, int, lt, not, one_of, prefix};
    use super::*;

    /// A value in the notation of docs/spaces.md.
    fn shown(value: &Value) -> String {
        match value {
            Value::FieldTable(table) => {
                let fields = table.inner().iter().map(|(name, value)| format!("{name}: {}", shown(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            Value::FieldArray(array) => format!("[{}]", array.as_slice().iter().map(shown).collect::<Vec<_>>().join(", ")),
            Value::LongString(text) => format!("'{text}'"),
            Value::LongInt(n) => n.to_string(),
            Value::LongLongInt(n) => format!("{n}l"),
            Value::Boolean(flag) => flag.to_string(),
            Value::Void => "null".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn templates_are_written_as_the_broker_reads_them() {
        let cases = [
            (template! { "type": "order", "id": 7i64 }, "{id: 7l, type: 'order'}"),
            (
                template! { "id": int(), "price": ge(5).and(lt(9)) },
                "{id: {?: 'int'}, price: {ge: 5, lt: 9}}",
            ),
            (template!["job", any(), ..], "['job', {?: 'any'}, '...']"),
            (template!["job", "..."], "['job', {is: '...'}]"),
            (template! { "a": template! { "in": 1 } }, "{a: {is: {in: 1}}}"),
            (
                template! { "a": tuple! { "in": tuple! { "gt": 1 } } },
                "{a: {is: {in: {is: {gt: 1}}}}}",
            ),
            (template! { "any": 1 }, "{is: {any: 1}}"),
            (
                template! { "a": one_of([1, 2]), "b": not(prefix("x")) },
                "{a: {in: [1, 2]}, b: {not: {prefix: 'x'}}}",
            ),
            (
                template! { "a": any_of([exists(false), lt(3)]) },
                "{a: {any: [{exists: false}, {lt: 3}]}}",
            ),
            (template! { "a": None::<i32> }, "{a: null}"),
        ];
        for (template, expected) in cases {
            assert_eq!(shown(&template.argument()), expected);
        }
    }

    #[test]
    fn tuples_go_into_headers() {
        let message = tuple! { "type": "order", "id": 7 }.message("jobs");
        let by_hand = Message::new("", "jobs", "")
            .header("id", Value::LongInt(7))
            .header("type", "order".into_datum());
        assert_eq!(message, by_hand);
        let message = tuple!["job", true].message("jobs");
        let array = Value::FieldArray(vec!["job".into_datum(), Value::Boolean(true)].into());
        assert_eq!(message, Message::new("", "jobs", "").header("x-tuple", array));
    }

    #[test]
    #[should_panic(expected = "ge is asked for twice")]
    fn nothing_is_asked_for_twice() {
        let _ = ge(1).and(ge(2));
    }
}
