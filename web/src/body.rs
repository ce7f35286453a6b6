//! The body of a request: a JSON object, whose fields are asked for as RabbitMQ does, which takes `"true"` for `true` and `"5"` for `5`.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde_json::{Map, Value};
use stoa_amqp::Table;

use crate::Api;
use crate::failure::Failure;
use crate::tables::from_json;

/// A field that a request may have, for the OpenAPI document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its JSON type: `string`, `boolean`, `integer`, `object`, `objects` or `strings` (arrays of these), `array`, or `any`.
    pub(crate) kind: &'static str,
    pub(crate) required: bool,
}

/// A field that must be there.
pub(crate) const fn required(name: &'static str, kind: &'static str) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// A field that may be left out.
pub(crate) const fn optional(name: &'static str, kind: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// The octets of a body, as many as are allowed.
#[derive(Debug)]
pub(crate) struct Octets(pub(crate) Bytes);

impl FromRequest<Arc<Api>> for Octets {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Failure> {
        let bytes_max = api.config().body_bytes_max;
        let octets = axum::body::to_bytes(request.into_body(), bytes_max).await;
        octets.map(Self).map_err(|_| Failure::too_large(bytes_max))
    }
}

/// The fields of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Map<String, Value>);

impl FromRequest<Arc<Api>> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Failure> {
        let Octets(octets) = Octets::from_request(request, api).await?;
        Self::parse(&octets)
    }
}

impl Body {
    /// No body is an empty object.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Failure> {
        if octets.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(octets) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Failure::bad_request("not_json")),
        }
    }

    /// All of these must be there.
    pub(crate) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        let missing: Vec<_> = names.iter().filter(|name| !self.0.contains_key(**name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<_> = missing.iter().map(|name| format!("{{key_missing,{name}}}")).collect();
        Err(Failure::bad_request(format!("[{}]", missing.join(","))))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, if there is one.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Failure::bad_request(format!("{name} should be a string"))),
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<&str, Failure> {
        self.require(&[name])?;
        self.text(name)?
            .ok_or_else(|| Failure::bad_request(format!("{name} should be a string")))
    }

    /// A truth value; absent it is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(Failure::bad_request(format!("{{not_boolean,{other}}}"))),
        }
    }

    /// An integer, if there is one.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let wrong = |value: &Value| Failure::bad_request(format!("{{not_integer,{value}}}"));
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong(&Value::from(&**text))),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong(value)),
        }
    }

    /// A table; absent it is empty. RabbitMQ's own tools write an empty one as `[]`.
    pub(crate) fn table(&self, name: &str) -> Result<Table, Failure> {
        match self.get(name) {
            None => Ok(Table::new()),
            Some(Value::Array(none)) if none.is_empty() => Ok(Table::new()),
            Some(Value::Object(fields)) => from_json(fields).ok_or_else(|| Failure::bad_request("a name is longer than 255 octets")),
            Some(_) => Err(Failure::bad_request(format!("{name} should be an object"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_as_rabbitmq_takes_them() {
        let body = Body::parse(br#"{"a":"true","b":false,"n":"7","m":8,"t":{"k":1},"e":[],"z":null}"#).unwrap();
        assert!(body.flag("a").unwrap() && !body.flag("b").unwrap() && !body.flag("z").unwrap());
        assert_eq!((body.integer("n").unwrap(), body.integer("m").unwrap()), (Some(7), Some(8)));
        assert_eq!((body.table("t").unwrap().len(), body.table("e").unwrap().len()), (1, 0));
        let missing = body.require(&["a", "p", "q"]).unwrap_err();
        assert_eq!(missing.reason, "[{key_missing,p},{key_missing,q}]");
        for wrong in [
            body.flag("n").unwrap_err(),
            body.integer("a").unwrap_err(),
            body.text("m").unwrap_err(),
        ] {
            assert_eq!(wrong.status, 400);
        }
        assert_eq!(Body::parse(b"[]").unwrap_err().reason, "not_json");
        assert!(Body::parse(b"").unwrap().0.is_empty());
    }
}
