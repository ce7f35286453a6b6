//! What a template says that an index can make use of: each tuple that it matches has these fields with these values or in these ranges.
//! The reverse need not hold.

use super::{Comparison, Pattern};
use crate::space::digest::{Shape, image, prefix_images};
use crate::space::hash::{self, FieldId};

/// The parts of a template that narrow the search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::space) struct Keys {
    /// The arity, or that it is a record, if the template says so.
    pub(in crate::space) shape: Option<Shape>,
    /// Fields that must have one value, and its hash; in the order of the fields, each once.
    pub(in crate::space) equal: Vec<(FieldId, u64)>,
    /// Fields whose order must lie in a range; each once.
    pub(in crate::space) ranges: Vec<Range>,
}

/// A field's range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::space) struct Range {
    pub(in crate::space) field: FieldId,
    /// The least [`image`] that it may have.
    pub(in crate::space) low: u64,
    /// The greatest.
    pub(in crate::space) high: u64,
}

impl Keys {
    pub(super) fn of(root: &Pattern) -> Self {
        let mut keys = Self::default();
        keys.add(root, FieldId::ROOT);
        keys.equal.sort_unstable();
        keys.equal.dedup_by_key(|(field, _)| *field);
        let equal: Vec<_> = keys.equal.iter().map(|(field, _)| *field).collect();
        keys.ranges.retain(|range| equal.binary_search(&range.field).is_err());
        keys
    }

    /// How much memory the lists take.
    pub(super) fn octets(&self) -> usize {
        self.equal.capacity() * size_of::<(FieldId, u64)>() + self.ranges.capacity() * size_of::<Range>()
    }

    fn add(&mut self, pattern: &Pattern, field: FieldId) {
        match pattern {
            Pattern::Is(value) => self.equal.extend(hash::scalar(value.as_value()).map(|hash| (field, hash))),
            Pattern::In(values) => match &**values {
                [one] => self.equal.extend(hash::scalar(one.as_value()).map(|hash| (field, hash))),
                values => {
                    let images: Option<Vec<_>> = values.iter().map(|value| image(value.as_value())).collect();
                    if let Some((Some(low), Some(high))) = images.map(|images| (images.iter().copied().min(), images.iter().copied().max()))
                    {
                        self.narrow(field, low, high);
                    }
                }
            },
            Pattern::Compare(how, bound) => {
                let Some(bound) = image(bound.as_value()) else { return };
                match how {
                    Comparison::Greater | Comparison::GreaterOrEqual => self.narrow(field, bound, bound | CLASS),
                    Comparison::Less | Comparison::LessOrEqual => self.narrow(field, bound & !CLASS, bound),
                }
            }
            Pattern::Prefix(prefix) => {
                if let Some((low, high)) = prefix_images(prefix.as_value()) {
                    self.narrow(field, low, high);
                }
            }
            Pattern::All(patterns) => patterns.iter().for_each(|pattern| self.add(pattern, field)),
            Pattern::Any(patterns) => {
                if let [one] = &**patterns {
                    self.add(one, field);
                }
            }
            Pattern::Record(fields) => {
                if field == FieldId::ROOT {
                    self.shape = Some(Shape::RECORD);
                }
                fields.iter().for_each(|(name, pattern)| self.add(pattern, field.field(name)));
            }
            Pattern::Positional { elements, open } => {
                if field == FieldId::ROOT && !open {
                    self.shape = Some(Shape::positional(elements.len()));
                }
                let elements = elements.iter().enumerate();
                elements.for_each(|(index, pattern)| self.add(pattern, field.element(index)));
            }
            Pattern::Kind(_) | Pattern::Ne(_) | Pattern::Suffix(_) | Pattern::Exists(_) | Pattern::Not(_) => {}
        }
    }

    /// The field lies in this range as well. Images are rounded, so the range reaches one further at both ends.
    fn narrow(&mut self, field: FieldId, low: u64, high: u64) {
        let low = low.saturating_sub(1).max(low & !CLASS);
        let high = (high + 1).min(high | CLASS);
        match self.ranges.iter_mut().find(|range| range.field == field) {
            Some(range) => {
                range.low = range.low.max(low);
                range.high = range.high.min(high);
            }
            None => self.ranges.push(Range { field, low, high }),
        }
    }
}

/// The bits of an image that say where in its class it is.
const CLASS: u64 = crate::space::digest::ORDER_MASK;
