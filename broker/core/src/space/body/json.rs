//! JSON (RFC 8259), by `serde_json`. Integers that fit into 64 bits are integers, all other numbers floats, `1.0` and `1e3` among them.

use crate::space::error::{Malformed, Path};
use crate::space::owned::{Budget, Owned};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads the one value that the octets are.
pub(crate) fn read(octets: &[u8], budget: &mut Budget) -> Result<Owned, Malformed> {
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_slice(octets);
    let path = Path::ROOT;
    let seed = Reading {
        path: &path,
        budget,
        fault: &mut fault,
    };
    let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| fault.unwrap_or_else(|| budget.malformed(&Path::ROOT, "JSON", error.to_string())))
}

/// Reading one value, at its path.
struct Reading<'a, 'b> {
    path: &'a Path<'a>,
    budget: &'b mut Budget,
    /// Our own errors: the parser's cannot carry them.
    fault: &'b mut Option<Malformed>,
}

impl Reading<'_, '_> {
    fn check<T, E: Error>(&mut self, outcome: Result<T, Malformed>) -> Result<T, E> {
        outcome.map_err(|malformed| {
            *self.fault = Some(malformed);
            E::custom("malformed")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_, '_> {
    type Value = Owned;
    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Owned, D::Error> {
        let counted = self.budget.value(self.path);
        self.check(counted)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_, '_> {
    type Value = Owned;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Owned, E> {
        Ok(Owned::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Owned, E> {
        Ok(Owned::Bool(flag))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Owned, E> {
        Ok(Owned::Integer(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Owned, E> {
        Ok(Owned::Integer(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Owned, E> {
        Ok(Owned::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Owned, E> {
        Ok(Owned::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Owned, A::Error> {
        let mut elements = Vec::new();
        loop {
            let path = self.path.element(elements.len());
            let seed = Reading {
                path: &path,
                budget: &mut *self.budget,
                fault: &mut *self.fault,
            };
            match sequence.next_element_seed(seed)? {
                Some(element) => elements.push(element),
                None => return Ok(Owned::Array(elements.into())),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Owned, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let path = self.path.field(name.as_bytes());
            let seed = Reading {
                path: &path,
                budget: &mut *self.budget,
                fault: &mut *self.fault,
            };
            let value = map.next_value_seed(seed)?;
            fields.push((name.into_bytes().into(), value));
        }
        let table = Owned::table(fields, self.path, self.budget.subject);
        self.check(table)
    }
}
