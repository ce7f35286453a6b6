//! Tuples and templates made at random, from few values, so that they often match.

use super::{Format, Template, Tuple};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..4).prop_map(Value::from),
        1 => prop_oneof![Just(0.5), Just(1.0), Just(2.5), Just(-0.0), Just(0.0)].prop_map(|n: f64| Value::from(n)),
        4 => prop_oneof![Just(""), Just("a"), Just("ab"), Just("b"), Just("abcdefgh-1"), Just("abcdefgh-2")].prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::from), record_of(inner, 3)]
    })
}

fn record_of(value: impl Strategy<Value = Value>, fields: usize) -> impl Strategy<Value = Value> {
    btree_map(prop_oneof![Just("a"), Just("b"), Just("c"), Just("in")], value, 0..fields).prop_map(|fields| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(fields.collect())
    })
}

/// A tuple in JSON: a record, a positional one, or, seldom, one of more fields than an entry has.
pub(crate) fn tuple() -> impl Strategy<Value = Vec<u8>> {
    let wide = (record_of(value(), 4), 0..4).prop_map(|(mut record, n)| {
        for field in 0..20 {
            record[format!("wide{field}")] = Value::from(n);
        }
        record
    });
    prop_oneof![6 => record_of(value(), 4), 4 => vec(value(), 0..3).prop_map(Value::from), 1 => wide]
        .prop_map(|tuple| tuple.to_string().into_bytes())
}

/// What one value is to be like. Literals are the most frequent, and orders come next.
fn pattern() -> impl Strategy<Value = Value> {
    let bound = || prop_oneof![scalar().prop_filter("ordered", |value| value.is_number() || value.is_string())];
    let leaf = prop_oneof![
        8 => scalar(),
        2 => prop_oneof![Just("int"), Just("number"), Just("string"), Just("any"), Just("table")].prop_map(|kind| json!({"?": kind})),
        3 => (prop_oneof![Just("gt"), Just("ge"), Just("lt"), Just("le")], bound()).prop_map(|(order, bound)| json!({order: bound})),
        1 => (bound(), bound()).prop_map(|(low, high)| json!({"ge": low, "lt": high})),
        1 => prop_oneof![Just("a"), Just("ab"), Just("abcdefgh-")].prop_map(|prefix| json!({"prefix": prefix})),
        1 => vec(scalar(), 1..3).prop_map(|values| json!({"in": values})),
        1 => scalar().prop_map(|value| json!({"ne": value})),
        1 => any::<bool>().prop_map(|there| json!({"exists": there})),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            2 => positional(inner.clone()),
            2 => record_of(inner.clone(), 3).prop_map(|record| json!({"is": record})),
            1 => inner.clone().prop_map(|pattern| json!({"not": pattern})),
            1 => vec(inner, 1..3).prop_map(|patterns| json!({"any": patterns})),
        ]
    })
}

fn positional(pattern: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (vec(pattern, 0..3), any::<bool>()).prop_map(|(mut elements, open)| {
        if open {
            elements.push(Value::from("..."));
        }
        Value::from(elements)
    })
}

/// A template.
pub(crate) fn template() -> impl Strategy<Value = Arc<Template>> {
    let wide = (0..20, 0..4).prop_map(|(field, n)| json!({format!("wide{field}"): n}));
    let one = || prop_oneof![6 => record_of(pattern(), 3), 4 => positional(pattern())];
    let many = vec(one(), 1..3).prop_map(|templates| json!({"any": templates}));
    let not = one().prop_map(|template| json!({"not": template}));
    prop_oneof![10 => one(), 1 => wide, 1 => many, 1 => not].prop_map(|template| {
        let template = template.to_string();
        Arc::new(Template::from_json(template.as_bytes()).unwrap_or_else(|error| panic!("{template}: {error}")))
    })
}

/// The tuple in this JSON.
pub(crate) fn read(octets: &[u8]) -> Tuple<'static> {
    Tuple::encoded(Format::Json, octets).expect("a tuple")
}
