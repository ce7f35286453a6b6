//! Indexes that a space's argument `x-space-index` asks for: `["type", ["type", "id"], {"ordered": "price"}]`. A text is a field, an array several
//! fields that templates fix together, `ordered` a field that they give ranges or prefixes of. Fields within others are written as
//! errors show them: `order.id`, `[0]`, `lines[2].sku`.

use super::error::{Malformed, Path, Subject};
use super::hash::FieldId;
use super::limits::{INDEX_FIELDS_MAX, INDEXES_DECLARED_MAX};
use stoa_amqp::Value;

/// An index that is to be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Declaration {
    /// For templates that fix all of these fields.
    Equal(Box<[Field]>),
    /// For templates that give a range or a prefix of this field.
    Ordered(Field),
}

/// A field of tuples, by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field(FieldId);

impl Field {
    pub(super) fn short(self) -> u32 {
        self.0.short()
    }

    /// The same for the same field in every version.
    pub(crate) fn octets(self) -> [u8; 8] {
        self.0.0.to_le_bytes()
    }

    pub(super) fn id(self) -> FieldId {
        self.0
    }

    /// The field at `name`, `outer.inner` or `[1].name`.
    fn parse(text: &str, path: &Path<'_>) -> Result<Self, Malformed> {
        let expected = "a field, as order.id or [0]";
        let wrong = || path.malformed(Subject::Index, expected, format!("\"{text}\""));
        let mut id = FieldId::ROOT;
        let mut rest = text;
        let mut first = true;
        while first || !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('[') {
                let (index, tail) = tail.split_once(']').ok_or_else(wrong)?;
                id = id.element(index.parse().map_err(|_| wrong())?);
                rest = tail;
            } else {
                let tail = if first { rest } else { rest.strip_prefix('.').ok_or_else(wrong)? };
                let end = tail.find(['.', '[']).unwrap_or(tail.len());
                let (name, tail) = tail.split_at(end);
                if name.is_empty() {
                    return Err(wrong());
                }
                id = id.field(name.as_bytes());
                rest = tail;
            }
            first = false;
        }
        Ok(Self(id))
    }
}

/// The fields of a space's argument `x-space-key`: a text, or an array of several.
///
/// # Errors
/// If it is neither, or names more than [`INDEX_FIELDS_MAX`] fields.
pub fn key_fields(argument: &Value) -> Result<Vec<Field>, Malformed> {
    let path = Path::ROOT.field(b"x-space-key");
    match Declaration::one(argument, &path)? {
        Declaration::Equal(fields) => Ok(fields.into_vec()),
        Declaration::Ordered(_) => Err(path.malformed(Subject::Index, "a field, or an array of fields", "a table")),
    }
}

impl Declaration {
    /// The indexes that an argument asks for.
    ///
    /// # Errors
    /// If it is no such list, or one of more than [`INDEXES_DECLARED_MAX`] indexes or of [`INDEX_FIELDS_MAX`] fields.
    pub fn from_amqp(argument: &Value) -> Result<Vec<Self>, Malformed> {
        let path = Path::ROOT.field(b"x-space-index");
        let list = argument
            .as_array()
            .ok_or_else(|| path.malformed(Subject::Index, "an array of fields", argument.type_name()))?;
        if list.len() > INDEXES_DECLARED_MAX {
            let expected = format!("at most {INDEXES_DECLARED_MAX} indexes");
            return Err(path.malformed(Subject::Index, expected, list.len().to_string()));
        }
        list.iter()
            .enumerate()
            .map(|(at, index)| Self::one(index, &path.element(at)))
            .collect()
    }

    fn one(index: &Value, path: &Path<'_>) -> Result<Self, Malformed> {
        let field = |value: &Value, path: &Path<'_>| match value.as_str() {
            Some(text) => Field::parse(text, path),
            None => Err(path.malformed(Subject::Index, "a field, as text", value.type_name())),
        };
        match index {
            Value::Table(table) => match (table.len(), table.get("ordered")) {
                (1, Some(ordered)) => Ok(Self::Ordered(field(ordered, &path.field(b"ordered"))?)),
                _ => Err(path.malformed(Subject::Index, "{\"ordered\": field}", "another table")),
            },
            Value::Array(fields) if fields.is_empty() || fields.len() > INDEX_FIELDS_MAX => {
                let expected = format!("1 to {INDEX_FIELDS_MAX} fields");
                Err(path.malformed(Subject::Index, expected, fields.len().to_string()))
            }
            Value::Array(fields) => {
                let fields = fields.iter().enumerate().map(|(at, value)| field(value, &path.element(at)));
                Ok(Self::Equal(fields.collect::<Result<_, _>>()?))
            }
            one => Ok(Self::Equal([field(one, path)?].into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations() {
        let root = FieldId::ROOT;
        let table = |name: &str, value: &str| Value::Table([(name, Value::from(value))].into_iter().collect());
        let argument = Value::Array(vec![
            Value::from("type"),
            Value::Array(vec![Value::from("order.id"), Value::from("[1].a[0]")]),
            table("ordered", "price"),
        ]);
        let expected = [
            Declaration::Equal([Field(root.field(b"type"))].into()),
            Declaration::Equal(
                [
                    Field(root.field(b"order").field(b"id")),
                    Field(root.element(1).field(b"a").element(0)),
                ]
                .into(),
            ),
            Declaration::Ordered(Field(root.field(b"price"))),
        ];
        assert_eq!(Declaration::from_amqp(&argument).as_deref(), Ok(&expected[..]));
        for (index, error) in [
            (Value::from(1), "expected a field, as text, came signedint"),
            (Value::from(""), "expected a field, as order.id or [0], came \"\""),
            (Value::from("a..b"), "came \"a..b\""),
            (Value::from("a[x]"), "came \"a[x]\""),
            (Value::from("a[0]b"), "came \"a[0]b\""),
            (Value::Array(vec![]), "expected 1 to 8 fields, came 0"),
            (table("order", "a"), "expected {\"ordered\": field}, came another table"),
        ] {
            let text = Declaration::from_amqp(&Value::Array(vec![index])).expect_err(error).to_string();
            assert!(text.starts_with("malformed index, field x-space-index[0]: "), "{text}");
            assert!(text.ends_with(error), "{text}");
        }
    }
}
