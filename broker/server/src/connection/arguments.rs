//! The arguments of `basic.consume` that the broker acts on.

use std::sync::Arc;

use stoa_amqp::RawTable;
use stoa_core::space::Template;

/// What a consumer asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// `x-priority` (RabbitMQ: consumer priorities); beyond 32 bits it is cut to these.
    pub(crate) priority: i32,
    /// `x-consumer-timeout`, in milliseconds; 0: for ever.
    pub(crate) timeout_ms: Option<u64>,
    /// `x-filter`, an extension of Stoa's: what the headers of its messages are like.
    pub(crate) filter: Option<Arc<Template>>,
}

impl Wanted {
    /// Reads them.
    ///
    /// # Errors
    /// The argument and what is wrong with it, in RabbitMQ's words (406).
    pub(crate) fn of(arguments: RawTable<'_>) -> Result<Self, (&'static str, String)> {
        if arguments.is_empty() {
            return Ok(Self::default());
        }
        let integer = |name| match arguments.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(n) => Ok(Some(n)),
                None => Err((name, format!("\"expected integer, got {}\"", value.type_name()))),
            },
        };
        let priority = integer("x-priority")?.unwrap_or(0);
        let timeout = integer("x-consumer-timeout")?;
        let timeout_ms = timeout
            .map(|ms| u64::try_from(ms).map_err(|_| ("x-consumer-timeout", format!("{{value_negative,{ms}}}"))))
            .transpose()?;
        let filter = arguments.get("x-filter").map(|filter| Template::of_headers(&filter)).transpose();
        Ok(Self {
            filter: filter.map_err(|malformed| ("x-filter", malformed.to_string()))?.map(Arc::new),
            priority: priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            timeout_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_amqp::{Table, Value};

    #[test]
    fn what_consumers_ask_for() {
        type Case<'a> = (&'a [(&'a str, Value)], Result<(i32, Option<u64>), (&'a str, &'a str)>);
        let filter = |name: &str, value: Value| Value::Table([(name, value)].into_iter().collect());
        let n = |n: i64| Value::I64(n);
        let cases: &[Case<'_>] = &[
            (&[], Ok((0, None))),
            (&[("x-priority", Value::U8(7))], Ok((7, None))),
            (&[("x-priority", n(-3)), ("x-consumer-timeout", n(0))], Ok((-3, Some(0)))),
            (&[("x-priority", n(i64::MAX)), ("x-other", Value::Void)], Ok((i32::MAX, None))),
            (&[("x-priority", n(i64::MIN))], Ok((i32::MIN, None))),
            (&[("x-consumer-timeout", Value::I32(5000))], Ok((0, Some(5000)))),
            (
                &[("x-priority", Value::from("high"))],
                Err(("x-priority", "\"expected integer, got longstr\"")),
            ),
            (
                &[("x-priority", Value::F64(1.0))],
                Err(("x-priority", "\"expected integer, got double\"")),
            ),
            (
                &[("x-consumer-timeout", Value::Bool(true))],
                Err(("x-consumer-timeout", "\"expected integer, got bool\"")),
            ),
            (&[("x-consumer-timeout", n(-1))], Err(("x-consumer-timeout", "{value_negative,-1}"))),
            (&[("x-filter", filter("c", n(1)))], Ok((0, None))),
            (&[("x-filter", Value::from(r#"{"c": {"ge": 1}}"#))], Ok((0, None))),
            (
                &[("x-filter", filter("c", filter("gt", Value::Void)))],
                Err((
                    "x-filter",
                    "malformed template, field c.gt: expected a number, text, bytes or a timestamp, came null",
                )),
            ),
            (
                &[("x-filter", Value::Array(vec![n(1)]))],
                Err((
                    "x-filter",
                    "malformed template, the whole: expected a table of headers, came an array",
                )),
            ),
            (
                &[("x-filter", n(1))],
                Err((
                    "x-filter",
                    "malformed template, the whole: expected a template: a table or an array, came an integer",
                )),
            ),
        ];
        for (fields, expected) in cases {
            let table: Table = fields.iter().cloned().collect();
            let got = Wanted::of(table.encoded().raw());
            let got = got.as_ref().map(|wanted| (wanted.priority, wanted.timeout_ms));
            assert_eq!(got.map_err(|(name, problem)| (*name, problem.as_str())), *expected, "{fields:?}");
        }
    }
}
