//! Templates: what a tuple, or a part of it, must be like. Compiled once from an AMQP table, an array or JSON ([`parse`]), tested against
//! encoded messages without building or allocating anything.

mod keys;
mod parse;
#[cfg(test)]
mod tests;

use super::error::{Malformed, Path, Subject};
use super::hash;
use super::owned::Owned;
use super::tuple::Tuple;
use super::value::{Array, Fields, Kind, Value};
use std::cmp::Ordering;
use stoa_amqp::RawTable;

pub(in crate::space) use keys::{Keys, Range};

/// A template, compiled.
#[derive(Clone, Debug)]
pub struct Template {
    pattern: Pattern,
    /// A hash: equal templates have the same.
    fingerprint: u64,
    /// About how much memory it takes.
    weight: usize,
    /// What an index can make use of.
    keys: Keys,
}

impl From<Pattern> for Template {
    fn from(pattern: Pattern) -> Self {
        // Made once for a consumer; floats keep us from deriving a hash.
        let text = format!("{pattern:?}");
        let fingerprint = hash::octets(0, text.as_bytes());
        let keys = Keys::of(&pattern);
        let weight = size_of::<Self>() + text.len() + keys.octets();
        Self {
            pattern,
            fingerprint,
            weight,
            keys,
        }
    }
}

/// Equal templates match the same tuples; two that do so need not be equal.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.pattern == other.pattern
    }
}

impl Template {
    /// The template that any tuple is like.
    #[must_use]
    pub fn any() -> Self {
        Self::from(Pattern::Exists(true))
    }

    /// The template in an argument or a header: a table or an array, or the same in JSON as text.
    ///
    /// # Errors
    /// If it is malformed or breaks one of the [limits](super::limits).
    pub fn from_amqp(value: &stoa_amqp::Value) -> Result<Self, Malformed> {
        parse::amqp(value).map(Self::from)
    }

    /// The template in this JSON.
    ///
    /// # Errors
    /// As [`Self::from_amqp`].
    pub fn from_json(octets: &[u8]) -> Result<Self, Malformed> {
        parse::json(octets).map(Self::from)
    }

    /// The filter in a consumer's argument (`x-filter`): a template of the headers of messages. Headers have names, so it is no list.
    ///
    /// # Errors
    /// As [`Self::from_amqp`], and if it is a list.
    pub fn of_headers(value: &stoa_amqp::Value) -> Result<Self, Malformed> {
        let template = Self::from_amqp(value)?;
        if let Pattern::Positional { .. } = template.pattern {
            return Err(Path::ROOT.malformed(Subject::Template, "a table of headers", "an array"));
        }
        Ok(template)
    }

    /// Whether a tuple is like this.
    #[must_use]
    pub fn matches(&self, tuple: &Tuple<'_>) -> bool {
        self.pattern.test(Some(tuple.value()))
    }

    pub(in crate::space) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// About how many octets of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// What an index can make use of.
    pub(in crate::space) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether the headers of a message are like this, all of them, those that begin with `x-` too: for consumers of queues that are no spaces.
    /// Of a header that comes twice the first counts.
    #[must_use]
    pub fn matches_headers(&self, headers: RawTable<'_>) -> bool {
        self.pattern.test(Some(Value::Table(Fields::Wire(headers))))
    }
}

/// What one value must be like.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::space) enum Pattern {
    /// This scalar; never NaN.
    Is(Owned),
    /// Of this type.
    Kind(Kind),
    /// In this order to a number, text, bytes or timestamp.
    Compare(Comparison, Owned),
    /// There, and not this scalar.
    Ne(Owned),
    /// One of these scalars.
    In(Box<[Owned]>),
    /// Text or bytes that begin like this.
    Prefix(Owned),
    /// Text or bytes that end like this.
    Suffix(Owned),
    /// There, or not.
    Exists(bool),
    /// Not like this; what is not there is not.
    Not(Box<Pattern>),
    /// Like one of these.
    Any(Box<[Pattern]>),
    /// Like all of these.
    All(Box<[Pattern]>),
    /// A table with such fields, in the order of their names, and maybe others.
    Record(Box<[(Box<[u8]>, Pattern)]>),
    /// An array of such elements; if it is open others may follow.
    Positional {
        /// The first elements.
        elements: Box<[Pattern]>,
        /// Whether the last was `...`.
        open: bool,
    },
}

/// An order to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::space) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Pattern {
    /// Whether a field's value is like this; `None` if there is no such field.
    fn test(&self, value: Option<Value<'_>>) -> bool {
        match (self, value) {
            (Self::Not(pattern), value) => !pattern.test(value),
            (Self::Any(patterns), value) => patterns.iter().any(|pattern| pattern.test(value)),
            (Self::All(patterns), value) => patterns.iter().all(|pattern| pattern.test(value)),
            (Self::Exists(there), value) => *there == value.is_some(),
            (_, None) => false,
            (Self::Is(wanted), Some(value)) => value.equals(wanted.as_value()),
            (Self::Kind(kind), Some(value)) => kind.holds(value),
            (Self::Compare(how, bound), Some(value)) => value.compare(bound.as_value()).is_some_and(|order| how.holds(order)),
            (Self::Ne(other), Some(value)) => !value.equals(other.as_value()),
            (Self::In(wanted), Some(value)) => wanted.iter().any(|wanted| value.equals(wanted.as_value())),
            (Self::Prefix(Owned::Text(prefix)), Some(Value::Text(text))) => text.starts_with(&**prefix),
            (Self::Prefix(Owned::Bytes(prefix)), Some(Value::Bytes(octets))) => octets.starts_with(prefix),
            (Self::Suffix(Owned::Text(suffix)), Some(Value::Text(text))) => text.ends_with(&**suffix),
            (Self::Suffix(Owned::Bytes(suffix)), Some(Value::Bytes(octets))) => octets.ends_with(suffix),
            (Self::Record(patterns), Some(Value::Table(fields))) => match fields {
                Fields::Owned(fields) => record(patterns, fields.iter().map(|(name, value)| (&**name, value))),
                Fields::Wire(table) => record(patterns, table.iter().map(|(name, value)| (name.as_bytes(), value))),
                Fields::Headers(table) => {
                    let fields = table.iter().map(|(name, value)| (name.as_bytes(), value));
                    record(patterns, fields.filter(|(name, _)| !super::value::is_control(name)))
                }
            },
            (Self::Positional { elements, open }, Some(Value::Array(array))) => positional(elements, *open, array),
            (Self::Prefix(_) | Self::Suffix(_) | Self::Record(_) | Self::Positional { .. }, Some(_)) => false,
        }
    }
}

/// One walk over the fields. Only those that are asked for are looked at; of a name that comes twice the first.
fn record<'v, V: Into<Value<'v>>>(patterns: &[(Box<[u8]>, Pattern)], fields: impl Iterator<Item = (&'v [u8], V)>) -> bool {
    let mut seen = Seen::default();
    let mut left = patterns.len();
    for (name, value) in fields {
        if left == 0 {
            return true;
        }
        let Ok(at) = patterns.binary_search_by(|(wanted, _)| (**wanted).cmp(name)) else {
            continue;
        };
        if seen.insert(at) {
            if !patterns[at].1.test(Some(value.into())) {
                return false;
            }
            left -= 1;
        }
    }
    let absent = |(at, (_, pattern)): (usize, &(_, Pattern))| seen.has(at) || pattern.test(None);
    left == 0 || patterns.iter().enumerate().all(absent)
}

fn positional(patterns: &[Pattern], open: bool, array: Array<'_>) -> bool {
    let mut values = array.iter();
    for pattern in patterns {
        let Some(value) = values.next() else { return false };
        if !pattern.test(Some(value)) {
            return false;
        }
    }
    open || values.next().is_none()
}

/// Which fields of a record pattern were found: it has no more than a template.
#[derive(Default)]
struct Seen([u64; super::limits::TEMPLATE_FIELDS_MAX / 64]);

impl Seen {
    fn insert(&mut self, at: usize) -> bool {
        let new = !self.has(at);
        self.0[at / 64] |= 1 << (at % 64);
        new
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & 1 << (at % 64) != 0
    }
}
