//! The tuple of a message: where it stands, and that it keeps to the limits.

use super::body::Format;
use super::error::{Malformed, Path, Subject};
use super::limits::{TUPLE_FIELDS_MAX, TUPLE_OCTETS_MAX};
use super::owned::{Budget, Owned};
use super::value::{Array, Fields, Value};
use stoa_amqp::content::Properties;
use stoa_amqp::{RawArray, RawTable, RawValue};

/// The header that holds a positional tuple, as an array, or the word `headers` or `body`, which says where the tuple stands.
pub const X_TUPLE: &str = "x-tuple";

/// The tuple of a message. Headers are looked at where they lie; a body is parsed once.
#[derive(Clone, Debug)]
pub struct Tuple<'a>(Place<'a>);

#[derive(Clone, Debug)]
enum Place<'a> {
    Headers(RawTable<'a>),
    Positional(RawArray<'a>),
    Body(Owned),
}

impl<'a> Tuple<'a> {
    /// The tuple of a message with these properties and this body:
    /// 1. the array in the header [`X_TUPLE`], if there is one: a positional tuple;
    /// 2. the body, if its `content-type` is JSON, CBOR or MessagePack ([`Format`]) and it is not empty: an object is a record, an array a
    ///    positional tuple;
    /// 3. the headers whose names do not begin with `x-`: a record, maybe an empty one.
    ///
    /// `x-tuple: headers` and `x-tuple: body` choose 3 or 2 whatever else there is.
    ///
    /// # Errors
    /// If the tuple cannot be read, has a field twice, or breaks one of the [limits](super::limits).
    pub fn of_message(properties: &Properties<'a>, body: &[u8]) -> Result<Self, Malformed> {
        let headers = properties.headers.unwrap_or_default();
        let path = Path::ROOT.field(X_TUPLE.as_bytes());
        let named = headers.iter().find(|(name, _)| name.as_bytes() == X_TUPLE.as_bytes());
        match named.map(|(_, value)| value) {
            Some(RawValue::Array(elements)) => Self::positional(elements),
            Some(RawValue::LongString(b"headers")) => Self::record(headers),
            Some(RawValue::LongString(b"body")) => {
                let content_type = properties.content_type.unwrap_or_default();
                let format = Format::of_content_type(content_type.as_bytes()).ok_or_else(|| {
                    let expected = "a content-type of JSON, CBOR or MessagePack with x-tuple: body";
                    Path::ROOT.malformed(Subject::Tuple, expected, format!("\"{content_type}\""))
                })?;
                Self::of_body(format, properties, body)
            }
            Some(other) => {
                let value = Value::from(other);
                let came = if let Value::Text(_) = value {
                    "another word"
                } else {
                    value.article()
                };
                Err(path.malformed(Subject::Tuple, "an array, \"headers\" or \"body\"", came))
            }
            None => match properties.content_type.and_then(|kind| Format::of_content_type(kind.as_bytes())) {
                Some(format) if !body.is_empty() => Self::of_body(format, properties, body),
                _ => Self::record(headers),
            },
        }
    }

    /// The positional tuple of these elements.
    ///
    /// # Errors
    /// As [`Self::of_message`].
    pub fn positional(elements: RawArray<'a>) -> Result<Self, Malformed> {
        check(elements.bytes().len(), Value::Array(Array::Wire(elements)))?;
        Ok(Self(Place::Positional(elements)))
    }

    /// The record of the headers whose names do not begin with `x-`.
    ///
    /// # Errors
    /// As [`Self::of_message`].
    pub fn record(headers: RawTable<'a>) -> Result<Self, Malformed> {
        check(headers.bytes().len(), Value::Table(Fields::Headers(headers)))?;
        Ok(Self(Place::Headers(headers)))
    }

    /// The tuple that octets of this format are.
    ///
    /// # Errors
    /// As [`Self::of_message`].
    pub fn encoded(format: Format, octets: &[u8]) -> Result<Self, Malformed> {
        let mut budget = Budget::new(Subject::Tuple, TUPLE_FIELDS_MAX, TUPLE_OCTETS_MAX);
        match format.read(octets, &mut budget)? {
            composite @ (Owned::Array(_) | Owned::Table(_)) => Ok(Self(Place::Body(composite))),
            scalar => Err(Path::ROOT.malformed(Subject::Tuple, "an array or a table (an object)", scalar.as_value().article())),
        }
    }

    fn of_body(format: Format, properties: &Properties<'_>, body: &[u8]) -> Result<Self, Malformed> {
        let encoding = properties.content_encoding.unwrap_or_default();
        let as_it_is = ["", "identity", "utf-8", "binary"].iter();
        if !as_it_is
            .into_iter()
            .any(|known| encoding.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
        {
            let expected = "a content-encoding of identity, utf-8, binary or none, or x-tuple: headers";
            return Err(Path::ROOT.malformed(Subject::Tuple, expected, format!("\"{encoding}\"")));
        }
        Self::encoded(format, body)
    }

    /// Whether it stands in the body.
    #[must_use]
    pub fn is_body(&self) -> bool {
        matches!(self.0, Place::Body(_))
    }

    /// The tuple as a value: an array or a table.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match &self.0 {
            Place::Headers(headers) => Value::Table(Fields::Headers(*headers)),
            Place::Positional(elements) => Value::Array(Array::Wire(*elements)),
            Place::Body(body) => body.as_value(),
        }
    }
}

/// Whether what lies on the wire keeps to the limits and has each field once.
fn check(size: usize, value: Value<'_>) -> Result<(), Malformed> {
    let mut budget = Budget::new(Subject::Tuple, TUPLE_FIELDS_MAX, TUPLE_OCTETS_MAX);
    budget.octets(size, &Path::ROOT)?;
    within(value, &Path::ROOT, &mut budget)
}

fn within(value: Value<'_>, path: &Path<'_>, budget: &mut Budget) -> Result<(), Malformed> {
    budget.value(path)?;
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                within(element, &path.element(index), budget)?;
            }
        }
        Value::Table(fields) => {
            once(fields, path)?;
            for (name, value) in fields.iter() {
                within(value, &path.field(name), budget)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether no name comes twice. Few names are compared with each other, many are sorted.
fn once(fields: Fields<'_>, path: &Path<'_>) -> Result<(), Malformed> {
    const FEW: usize = 16;
    let twice = |name: &[u8]| Err(path.field(name).malformed(Subject::Tuple, "the field once", "the field twice"));
    let mut few: [&[u8]; FEW] = [&[]; FEW];
    let mut count = 0;
    for (name, _) in fields.iter() {
        if few.iter().take(count).any(|before| *before == name) {
            return twice(name);
        }
        if let Some(place) = few.get_mut(count) {
            *place = name;
        }
        count += 1;
    }
    if count > FEW {
        let mut many: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        many.sort_unstable();
        if let Some([name, _]) = many.array_windows().find(|[a, b]| a == b) {
            return twice(name);
        }
    }
    Ok(())
}
