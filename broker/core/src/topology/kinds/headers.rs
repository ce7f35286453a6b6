//! The headers exchange: a message goes where its headers match a binding's arguments (AMQP 0-9-1, section 3.1.3.4).
//!
//! `x-match` says how: `all` (the default) or `any` of the arguments, those whose names begin with `x-` left out; `all-with-x` and
//! `any-with-x` (RabbitMQ extensions) leave out `x-match` alone. An argument without a value asks for a header of that name, whatever its value.
//! Values are compared as RabbitMQ does ([`same_value`]): the number counts, not its width.
//!
//! So that a message need not be held against every binding, each binding lies in wait behind one of the fields that it asks for, or behind
//! every one of them if any will do.

use crate::topology::bindings::BindingIndex;
use crate::topology::destinations::Target;
use crate::topology::equivalence::{hash_value, same_value, text_of};
use crate::topology::route::Found;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};
use stoa_amqp::{ShortString, Table, Value};

/// The argument that says how the others are meant.
const X_MATCH: &str = "x-match";

/// What `x-match` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topology) struct Match {
    /// One field is enough.
    any: bool,
    /// Names that begin with `x-` count as well.
    with_x: bool,
}

/// An `x-match` that says nothing known; the text is RabbitMQ's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// A text other than the four.
    #[error("Invalid x-match field value {0}; expected all, any, all-with-x, or any-with-x")]
    Value(String),
    /// No text.
    #[error("Invalid x-match field type {kind} (value {value}); expected longstr")]
    Type {
        /// Its type, by RabbitMQ's name.
        kind: &'static str,
        /// What it says.
        value: String,
    },
}

impl Match {
    /// # Errors
    /// If there is an `x-match` in the arguments of a binding that is not known.
    pub(in crate::topology) fn of(arguments: &Table) -> Result<Self, MatchError> {
        let (any, with_x) = match arguments.get(X_MATCH) {
            None => (false, false),
            Some(Value::LongString(text)) => match &**text {
                b"all" => (false, false),
                b"any" => (true, false),
                b"all-with-x" => (false, true),
                b"any-with-x" => (true, true),
                other => return Err(MatchError::Value(format!("<<\"{}\">>", String::from_utf8_lossy(other)))),
            },
            Some(other) => {
                return Err(MatchError::Type {
                    kind: other.type_name(),
                    value: text_of(other),
                });
            }
        };
        Ok(Self { any, with_x })
    }

    /// Whether a binding with such an `x-match` asks for this argument.
    fn asks_for(self, name: &ShortString) -> bool {
        if self.with_x {
            *name != *X_MATCH
        } else {
            !name.as_bytes().starts_with(b"x-")
        }
    }
}

/// One binding.
#[derive(Debug)]
struct Rule {
    any: bool,
    fields: Vec<(ShortString, Value)>,
    target: Target,
}

impl Rule {
    fn matches(&self, headers: &Table) -> bool {
        let has = |(name, wanted): &(ShortString, Value)| {
            headers
                .get(name)
                .is_some_and(|value| *wanted == Value::Void || same_value(wanted, value))
        };
        if self.any {
            self.fields.iter().any(has)
        } else {
            self.fields.iter().all(has)
        }
    }
}

/// The bindings of a headers exchange.
#[derive(Debug, Default)]
pub(in crate::topology) struct HeadersTable {
    rules: HashMap<BindingIndex, Rule>,
    /// By the hash of a field's name and value, or of its name alone: the rules that lie in wait for it.
    waiting: HashMap<u64, BTreeSet<BindingIndex>>,
    /// Rules that ask for nothing and match every message.
    always: BTreeSet<BindingIndex>,
    hasher: DefaultHashBuilder,
}

impl HeadersTable {
    pub(in crate::topology) fn insert(&mut self, binding: BindingIndex, arguments: &Table, target: Target) {
        let how = Match::of(arguments).unwrap_or(Match { any: false, with_x: false });
        let asked = arguments.iter().filter(|(name, _)| how.asks_for(name));
        let rule = Rule {
            any: how.any,
            fields: asked.cloned().collect(),
            target,
        };
        if rule.fields.is_empty() && !rule.any {
            self.always.insert(binding);
        }
        for place in self.places(&rule) {
            self.waiting.entry(place).or_default().insert(binding);
        }
        self.rules.insert(binding, rule);
    }

    pub(in crate::topology) fn remove(&mut self, binding: BindingIndex) {
        let Some(rule) = self.rules.remove(&binding) else { return };
        self.always.remove(&binding);
        for (name, value) in &rule.fields {
            let place = self.place(name, Some(value));
            if let Some(list) = self.waiting.get_mut(&place) {
                list.remove(&binding);
                if list.is_empty() {
                    self.waiting.remove(&place);
                }
            }
        }
    }

    pub(in crate::topology) fn route(&self, headers: &Table, found: &mut Found<'_>) {
        for binding in &self.always {
            found.add_one(self.rules[binding].target);
        }
        for (name, value) in headers {
            for place in [self.place(name, Some(value)), self.place(name, None)] {
                let waiting = self.waiting.get(&place).into_iter().flatten();
                for rule in waiting.map(|binding| &self.rules[binding]).filter(|rule| rule.matches(headers)) {
                    found.add_one(rule.target);
                }
            }
        }
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where a rule lies in wait.
    fn places(&self, rule: &Rule) -> Vec<u64> {
        let mut places: Vec<_> = rule.fields.iter().map(|(name, value)| self.place(name, Some(value))).collect();
        if !rule.any {
            // One is enough: the one behind which the fewest others wait.
            let fewest = places
                .iter()
                .copied()
                .min_by_key(|place| self.waiting.get(place).map_or(0, BTreeSet::len));
            places.clear();
            places.extend(fewest);
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    fn place(&self, name: &ShortString, value: Option<&Value>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        if let Some(value) = value.filter(|value| **value != Value::Void) {
            hash_value(value, &mut hasher);
        }
        hasher.finish()
    }
}
