//! Values that own themselves: parsed bodies, and templates before they are compiled. And the budget that reading spends.

use super::error::{Malformed, Path, Subject};
use super::limits::DEPTH_MAX;
use super::number::Decimal;
use super::value::{Array, Fields, Value};
use std::borrow::Cow;

/// A value that owns itself. The types are those of [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Owned {
    /// There is no value.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Integer(i128),
    /// A floating-point number.
    Float(f64),
    /// A decimal.
    Decimal(Decimal),
    /// UTF-8.
    Text(Box<str>),
    /// Octets.
    Bytes(Box<[u8]>),
    /// Nanoseconds since 1970 UTC.
    Timestamp(i128),
    /// Values in order.
    Array(Box<[Owned]>),
    /// Values by name, each name once, in the order of the names.
    Table(Box<[(Box<[u8]>, Owned)]>),
}

impl Owned {
    /// The value, to look at.
    #[must_use]
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Integer(n) => Value::Integer(*n),
            Self::Float(n) => Value::Float(*n),
            Self::Decimal(n) => Value::Decimal(*n),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(octets) => Value::Bytes(octets),
            Self::Timestamp(nanos) => Value::Timestamp(*nanos),
            Self::Array(elements) => Value::Array(Array::Owned(elements)),
            Self::Table(fields) => Value::Table(Fields::Owned(fields)),
        }
    }

    /// A copy of a value within the budget.
    pub(crate) fn copy(value: Value<'_>, path: &Path<'_>, budget: &mut Budget) -> Result<Self, Malformed> {
        budget.value(path)?;
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Integer(n) => Self::Integer(n),
            Value::Float(n) => Self::Float(n),
            Value::Decimal(n) => Self::Decimal(n),
            Value::Timestamp(nanos) => Self::Timestamp(nanos),
            Value::Text(text) => {
                budget.octets(text.len(), path)?;
                Self::Text(text.into())
            }
            Value::Bytes(octets) => {
                budget.octets(octets.len(), path)?;
                Self::Bytes(octets.into())
            }
            Value::Array(elements) => {
                let mut copies = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    copies.push(Self::copy(element, &path.element(index), budget)?);
                }
                Self::Array(copies.into())
            }
            Value::Table(fields) => {
                let mut copies: Vec<(Box<[u8]>, Self)> = Vec::new();
                for (name, value) in fields.iter() {
                    budget.octets(name.len(), path)?;
                    copies.push((name.into(), Self::copy(value, &path.field(name), budget)?));
                }
                Self::table(copies, path, budget.subject)?
            }
        })
    }

    /// A table of these fields, or the error that one comes twice.
    pub(crate) fn table(mut fields: Vec<(Box<[u8]>, Self)>, path: &Path<'_>, subject: Subject) -> Result<Self, Malformed> {
        fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        match fields.array_windows().find(|[(a, _), (b, _)]| a == b) {
            Some([(name, _), _]) => Err(path.field(name).malformed(subject, "the field once", "the field twice")),
            None => Ok(Self::Table(fields.into())),
        }
    }
}

impl<'a> From<&'a Owned> for Value<'a> {
    fn from(owned: &'a Owned) -> Self {
        owned.as_value()
    }
}

/// What reading a tuple or a template may still use.
pub(crate) struct Budget {
    pub(crate) subject: Subject,
    values_left: usize,
    values_max: usize,
    octets_left: usize,
    octets_max: usize,
}

impl Budget {
    pub(crate) fn new(subject: Subject, values_max: usize, octets_max: usize) -> Self {
        Self {
            subject,
            values_left: values_max,
            values_max,
            octets_left: octets_max,
            octets_max,
        }
    }

    /// One more value, here.
    pub(crate) fn value(&mut self, path: &Path<'_>) -> Result<(), Malformed> {
        if path.depth > DEPTH_MAX {
            let expected = format!("at most {DEPTH_MAX} arrays and tables within each other");
            return Err(self.malformed(path, expected, "more"));
        }
        let Some(left) = self.values_left.checked_sub(1) else {
            return Err(self.malformed(&Path::ROOT, format!("at most {} values", self.values_max), "more"));
        };
        self.values_left = left;
        Ok(())
    }

    /// So many octets more of texts and names, here.
    pub(crate) fn octets(&mut self, count: usize, path: &Path<'_>) -> Result<(), Malformed> {
        let Some(left) = self.octets_left.checked_sub(count) else {
            return Err(self.malformed(
                path,
                format!("at most {} octets together with what is before", self.octets_max),
                "more",
            ));
        };
        self.octets_left = left;
        Ok(())
    }

    /// All octets of something encoded.
    pub(crate) fn whole(&self, octets: &[u8]) -> Result<(), Malformed> {
        if octets.len() <= self.octets_max {
            return Ok(());
        }
        Err(self.malformed(&Path::ROOT, format!("at most {} octets", self.octets_max), octets.len().to_string()))
    }

    pub(crate) fn malformed(
        &self,
        path: &Path<'_>,
        expected: impl Into<Cow<'static, str>>,
        came: impl Into<Cow<'static, str>>,
    ) -> Malformed {
        path.malformed(self.subject, expected, came)
    }
}
