//! The language of templates, read from values. It is the same in AMQP tables and in JSON; docs/spaces.md describes it.
//!
//! A table whose names are all operators asks for what they say; one without any is a nested record; a mixture is refused. `is` takes the names
//! of the table within it for fields, whatever they are. At the root, names are fields, but for a template that is `any`, `not` or `is` alone.

use super::{Comparison, Pattern};
use crate::space::body;
use crate::space::error::{Malformed, Path, Subject};
use crate::space::limits::{TEMPLATE_FIELDS_MAX, TEMPLATE_OCTETS_MAX};
use crate::space::number::Decimal;
use crate::space::owned::{Budget, Owned};
use crate::space::value::{Kind, NANOS, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stoa_amqp::{RawTable, Table};

/// What the last element of a positional template says if others may follow.
const OPEN: &str = "...";

type Fields = [(Box<[u8]>, Owned)];

pub(super) fn amqp(value: &stoa_amqp::Value) -> Result<Pattern, Malformed> {
    if let stoa_amqp::Value::LongString(text) = value {
        return json(text);
    }
    // Encoded again and walked as any table: this is done once for a consumer.
    let octets = [("", value.clone())].into_iter().collect::<Table>().to_bytes();
    let mut budget = budget();
    let table = RawTable::new(&octets).map_err(|error| malformed(&Path::ROOT, "a table or an array", error.to_string()))?;
    let value = table.iter().next().map_or(Value::Null, |(_, value)| value.into());
    root(&Owned::copy(value, &Path::ROOT, &mut budget)?, &Path::ROOT)
}

pub(super) fn json(octets: &[u8]) -> Result<Pattern, Malformed> {
    let mut budget = budget();
    budget.whole(octets)?;
    root(&body::read_json(octets, &mut budget)?, &Path::ROOT)
}

fn budget() -> Budget {
    Budget::new(Subject::Template, TEMPLATE_FIELDS_MAX, TEMPLATE_OCTETS_MAX)
}

fn malformed(
    path: &Path<'_>,
    expected: impl Into<std::borrow::Cow<'static, str>>,
    came: impl Into<std::borrow::Cow<'static, str>>,
) -> Malformed {
    path.malformed(Subject::Template, expected, came)
}

/// A whole template, or one of those within an `any` or `not` at the root.
fn root(value: &Owned, path: &Path<'_>) -> Result<Pattern, Malformed> {
    match value {
        Owned::Array(elements) => positional(elements, path),
        Owned::Table(fields) => match &**fields {
            [(name, operand)] if [&b"any"[..], b"not", b"is"].contains(&&**name) => {
                let inner = path.field(name);
                match (&**name, operand) {
                    (b"any", operand) => any(operand, &inner, root),
                    (b"not", operand) => Ok(Pattern::Not(Box::new(root(operand, &inner)?))),
                    (_, Owned::Table(fields)) => record(fields, &inner),
                    (_, operand) => root(operand, &inner),
                }
            }
            fields => record(fields, path),
        },
        scalar => Err(malformed(path, "a template: a table or an array", scalar.as_value().article())),
    }
}

/// What a field is to be like.
fn pattern(value: &Owned, path: &Path<'_>) -> Result<Pattern, Malformed> {
    match value {
        Owned::Array(elements) => positional(elements, path),
        Owned::Table(fields) => {
            let operators = fields.iter().filter(|(name, _)| is_operator(name)).count();
            if operators == 0 {
                record(fields, path)
            } else if operators == fields.len() {
                conjunction(fields, path)
            } else {
                let expected = "either operators or fields; {\"is\": {..}} takes all names for fields";
                Err(malformed(path, expected, "a mixture of them"))
            }
        }
        scalar => literal(scalar, path).map(Pattern::Is),
    }
}

fn record(fields: &Fields, path: &Path<'_>) -> Result<Pattern, Malformed> {
    let fields = fields
        .iter()
        .map(|(name, value)| Ok((name.clone(), pattern(value, &path.field(name))?)));
    Ok(Pattern::Record(fields.collect::<Result<_, Malformed>>()?))
}

fn positional(elements: &[Owned], path: &Path<'_>) -> Result<Pattern, Malformed> {
    let is_open = |element: &Owned| matches!(element, Owned::Text(text) if **text == *OPEN);
    let (elements, open) = match elements.split_last() {
        Some((last, before)) if is_open(last) => (before, true),
        _ => (elements, false),
    };
    if let Some(index) = elements.iter().position(is_open) {
        let expected = "\"...\" as the last element only; {\"is\": \"...\"} is the text";
        return Err(malformed(&path.element(index), expected, "more elements behind it"));
    }
    let elements = elements
        .iter()
        .enumerate()
        .map(|(index, element)| pattern(element, &path.element(index)));
    let elements = elements.collect::<Result<_, Malformed>>()?;
    Ok(Pattern::Positional { elements, open })
}

fn any(operand: &Owned, path: &Path<'_>, each: fn(&Owned, &Path<'_>) -> Result<Pattern, Malformed>) -> Result<Pattern, Malformed> {
    let patterns = some(operand, path)?.iter().enumerate();
    let patterns = patterns.map(|(index, operand)| each(operand, &path.element(index)));
    Ok(Pattern::Any(patterns.collect::<Result<_, Malformed>>()?))
}

/// The elements of an array that has some.
fn some<'a>(operand: &'a Owned, path: &Path<'_>) -> Result<&'a [Owned], Malformed> {
    match operand {
        Owned::Array(elements) if elements.is_empty() => Err(malformed(path, "an array of one or more", "an empty one")),
        Owned::Array(elements) => Ok(elements),
        other => Err(malformed(path, "an array of one or more", other.as_value().article())),
    }
}

fn is_operator(name: &[u8]) -> bool {
    matches!(
        name,
        b"?" | b"gt"
            | b"ge"
            | b"lt"
            | b"le"
            | b"ne"
            | b"in"
            | b"prefix"
            | b"suffix"
            | b"exists"
            | b"not"
            | b"any"
            | b"is"
            | b"bytes"
            | b"timestamp"
            | b"decimal"
            | b"float"
    )
}

/// All that the operators of a table ask for.
fn conjunction(fields: &Fields, path: &Path<'_>) -> Result<Pattern, Malformed> {
    let mut patterns = fields
        .iter()
        .map(|(name, operand)| operator(name, operand, &path.field(name)))
        .collect::<Result<Vec<_>, _>>()?;
    match (patterns.pop(), patterns.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            patterns.extend(last);
            Ok(Pattern::All(patterns.into()))
        }
    }
}

fn operator(name: &[u8], operand: &Owned, path: &Path<'_>) -> Result<Pattern, Malformed> {
    Ok(match name {
        b"?" => Pattern::Kind(kind(operand, path)?),
        b"gt" => Pattern::Compare(Comparison::Greater, bound(operand, path)?),
        b"ge" => Pattern::Compare(Comparison::GreaterOrEqual, bound(operand, path)?),
        b"lt" => Pattern::Compare(Comparison::Less, bound(operand, path)?),
        b"le" => Pattern::Compare(Comparison::LessOrEqual, bound(operand, path)?),
        b"ne" => Pattern::Ne(literal(operand, path)?),
        b"in" => {
            let wanted = some(operand, path)?.iter().enumerate();
            let wanted = wanted.map(|(index, operand)| literal(operand, &path.element(index)));
            Pattern::In(wanted.collect::<Result<_, _>>()?)
        }
        b"prefix" => Pattern::Prefix(affix(operand, path)?),
        b"suffix" => Pattern::Suffix(affix(operand, path)?),
        b"exists" => match operand {
            Owned::Bool(there) => Pattern::Exists(*there),
            other => return Err(malformed(path, "true or false", other.as_value().article())),
        },
        b"not" => Pattern::Not(Box::new(pattern(operand, path)?)),
        b"any" => any(operand, path, pattern)?,
        b"is" => match operand {
            Owned::Array(elements) => positional(elements, path)?,
            Owned::Table(fields) => record(fields, path)?,
            scalar => Pattern::Is(literal(scalar, path)?),
        },
        typed => Pattern::Is(typed_literal(typed, operand, path)?),
    })
}

fn kind(operand: &Owned, path: &Path<'_>) -> Result<Kind, Malformed> {
    let came = match operand {
        Owned::Text(name) => match Kind::named(name) {
            Some(kind) => return Ok(kind),
            None => format!("\"{}\"", shortened(name)),
        },
        other => other.as_value().article().to_owned(),
    };
    Err(malformed(
        path,
        format!("a type: {}", Kind::NAMES.map(|(name, _)| name).join(", ")),
        came,
    ))
}

/// A scalar: as it stands, or typed, as `{"bytes": "AAE="}`, where JSON has no such type.
fn literal(value: &Owned, path: &Path<'_>) -> Result<Owned, Malformed> {
    match value {
        Owned::Float(n) if n.is_nan() => Err(malformed(path, "a value that something can equal", "NaN")),
        Owned::Table(fields) => match &**fields {
            [(name, operand)] if [&b"bytes"[..], b"timestamp", b"decimal", b"float"].contains(&&**name) => {
                typed_literal(name, operand, &path.field(name))
            }
            _ => Err(malformed(path, "a literal", "a table")),
        },
        Owned::Array(_) => Err(malformed(path, "a literal", "an array")),
        scalar => Ok(scalar.clone()),
    }
}

fn typed_literal(name: &[u8], operand: &Owned, path: &Path<'_>) -> Result<Owned, Malformed> {
    let (expected, read) = match name {
        b"bytes" => ("bytes, or base64 in text", bytes(operand)),
        b"timestamp" => ("a timestamp, or seconds since 1970", timestamp(operand)),
        b"decimal" => ("a decimal, or text like \"12.50\" of at most 32 bits of digits", decimal(operand)),
        _ => ("a number that is not NaN", float(operand)),
    };
    read.ok_or_else(|| malformed(path, expected, operand.as_value().article()))
}

fn bytes(operand: &Owned) -> Option<Owned> {
    match operand {
        Owned::Bytes(octets) => Some(Owned::Bytes(octets.clone())),
        Owned::Text(text) => STANDARD.decode(&**text).ok().map(|octets| Owned::Bytes(octets.into())),
        _ => None,
    }
}

fn timestamp(operand: &Owned) -> Option<Owned> {
    let nanos = match operand {
        Owned::Timestamp(nanos) => Some(*nanos),
        Owned::Integer(seconds) => seconds.checked_mul(NANOS),
        Owned::Float(seconds) if seconds.is_finite() && seconds.abs() < 1e18 => Some((seconds * 1e9).round() as i128),
        _ => None,
    };
    nanos.map(Owned::Timestamp)
}

fn decimal(operand: &Owned) -> Option<Owned> {
    match operand {
        Owned::Decimal(n) => Some(Owned::Decimal(*n)),
        Owned::Text(text) => Decimal::parse(text).map(Owned::Decimal),
        _ => None,
    }
}

fn float(operand: &Owned) -> Option<Owned> {
    match operand {
        Owned::Float(n) if !n.is_nan() => Some(Owned::Float(*n)),
        Owned::Integer(n) => Some(Owned::Float(*n as f64)),
        _ => None,
    }
}

/// A literal that has an order.
fn bound(operand: &Owned, path: &Path<'_>) -> Result<Owned, Malformed> {
    let bound = literal(operand, path)?;
    if bound.as_value().compare(bound.as_value()).is_none() {
        let expected = "a number, text, bytes or a timestamp";
        return Err(malformed(path, expected, bound.as_value().article()));
    }
    Ok(bound)
}

fn affix(operand: &Owned, path: &Path<'_>) -> Result<Owned, Malformed> {
    match literal(operand, path)? {
        affix @ (Owned::Text(_) | Owned::Bytes(_)) => Ok(affix),
        other => Err(malformed(path, "text or bytes", other.as_value().article())),
    }
}

/// As much of a text as an error shows.
fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(40)).unwrap_or_default()
}
