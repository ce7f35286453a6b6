//! A table of waiters whose templates fix the same fields, and give a range of the same one, if of any.

use super::bucket::{Bucket, Group};
use super::{Intent, WaiterId};
use crate::space::digest::Digest;
use crate::space::hash::{FieldId, mix};
use crate::space::index::ByHash;
use crate::space::template::{Keys, Template};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Table {
    shaped: bool,
    /// Ascending.
    equal: Box<[FieldId]>,
    range: Option<FieldId>,
    buckets: ByHash<Bucket>,
}

/// The range of templates in a table without one: a point, at which every tuple is.
const NO_RANGE: (u64, u64) = (0, 0);

impl Table {
    /// One without waiters for templates with such keys.
    pub(super) fn of(keys: &Keys) -> Self {
        Self {
            shaped: keys.shape.is_some(),
            equal: keys.equal.iter().map(|(field, _)| *field).collect(),
            range: keys.ranges.first().map(|range| range.field),
            buckets: ByHash::default(),
        }
    }

    /// Whether it is for the same fields.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.shaped, &self.equal, self.range) == (other.shaped, &other.equal, other.range)
    }

    /// Whether templates with such keys can wait here: they fix all that it looks at.
    pub(super) fn takes(&self, keys: &Keys) -> bool {
        let fixes = |field| keys.equal.binary_search_by_key(field, |(field, _)| *field).is_ok();
        (keys.shape.is_some() || !self.shaped)
            && self.equal.iter().all(fixes)
            && self.range.is_none_or(|field| keys.ranges.iter().any(|range| range.field == field))
    }

    /// How many fields it looks at.
    pub(super) fn fields(&self) -> usize {
        usize::from(self.shaped) + self.equal.len() + usize::from(self.range.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The key of the bucket for templates with such keys, which it takes, and their range.
    pub(super) fn place(&self, keys: &Keys) -> (u64, (u64, u64)) {
        let shape = if self.shaped { keys.shape } else { None };
        let mut key = shape.map_or(0, |shape| mix(1, shape.0.into()));
        let looked_at = keys.equal.iter().filter(|(field, _)| self.equal.binary_search(field).is_ok());
        for (_, hash) in looked_at {
            key = mix(key, *hash);
        }
        let range = keys.ranges.iter().find(|range| Some(range.field) == self.range);
        (key, range.map_or(NO_RANGE, |range| (range.low, range.high)))
    }

    /// The key of the bucket in which those wait whom such a tuple may serve, and where in their ranges it is. `None` if it lacks a field.
    pub(super) fn sought(&self, digest: &Digest) -> Option<(u64, u64)> {
        let mut key = if self.shaped { mix(1, digest.shape.0.into()) } else { 0 };
        for field in &*self.equal {
            key = mix(key, digest.get(*field)?.hash);
        }
        let image = match self.range {
            Some(field) => digest.get(field)?.image,
            None => NO_RANGE.0,
        };
        Some((key, image))
    }

    /// Adds a waiter. Returns the fingerprint by which it is found again.
    pub(super) fn add(&mut self, key: u64, range: (u64, u64), waiter: WaiterId, intent: Intent, template: &Arc<Template>) -> u64 {
        self.buckets.entry(key).or_default().add(range, waiter, intent, template)
    }

    /// Removes a waiter from the group of that low end and fingerprint.
    pub(super) fn remove(&mut self, key: u64, group: (u64, u64), waiter: WaiterId, intent: Intent) {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.remove(group, waiter, intent);
            if bucket.is_empty() {
                self.buckets.remove(&key);
            }
        }
    }

    /// Those in the bucket of that key in whose range the image is.
    pub(super) fn find(&self, key: u64, image: u64, look: &mut impl FnMut(&Group)) {
        if let Some(bucket) = self.buckets.get(&key) {
            bucket.find(image, look);
        }
    }

    /// All.
    pub(super) fn each(&self, look: &mut impl FnMut(&Group)) {
        self.buckets.values().for_each(|bucket| bucket.each(look));
    }
}
