//! Tuples and templates: whatever octets come as one is one or an error, and the index and the waiters find what comparing finds.

use std::sync::Arc;
use stoa_amqp::{RawArray, RawTable, Table, Value};
use stoa_core::ids::Sequence;
use stoa_core::space::{
    Declaration, Digest, Entry, Format, Intent, Malformed, Search, Step, Template, Tuple, TupleIndex, WaiterId, Waiters,
};

fn reportable<T>(outcome: Result<T, Malformed>) -> Option<T> {
    outcome.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

/// The octets as templates, in JSON and as the fields of a table, and as tuples in every format: any of the ones against any of the others.
pub fn templates(octets: &[u8]) {
    written(octets);
    let mut templates: Vec<_> = reportable(Template::from_json(octets)).into_iter().collect();
    if let Ok(table) = Table::decode(octets) {
        for (_, value) in &table {
            templates.extend(reportable(Template::from_amqp(value)));
            drop(reportable(Declaration::from_amqp(value)));
        }
        templates.extend(reportable(Template::from_amqp(&Value::Table(table))));
    }
    let mut tuples = Vec::new();
    for format in [Format::Json, Format::Cbor, Format::MessagePack] {
        tuples.extend(reportable(Tuple::encoded(format, octets)));
    }
    if let Ok(table) = RawTable::new(octets) {
        tuples.extend(reportable(Tuple::record(table)));
        for template in &templates {
            let _ = template.matches_headers(table);
        }
    }
    if let Ok(array) = RawArray::new(octets) {
        tuples.extend(reportable(Tuple::positional(array)));
    }
    let entry = Entry::first_of(octets);
    assert!(entry.is_none_or(|entry| octets.starts_with(entry.octets())));
    for template in templates.into_iter().map(Arc::new) {
        tuples.iter().for_each(|tuple| is_found(tuple, &template));
    }
}

/// The octets as choices, by which a template and some tuples are written in JSON: well-formed, and like each other often enough.
fn written(octets: &[u8]) {
    let mut choices = octets.iter().copied();
    let template = composite(&mut choices, 4);
    let Some(template) = reportable(Template::from_json(template.as_bytes())) else {
        return;
    };
    let template = Arc::new(template);
    for _ in 0..8 {
        let tuple = composite(&mut choices, 3);
        if let Some(tuple) = reportable(Tuple::encoded(Format::Json, tuple.as_bytes())) {
            is_found(&tuple, &template);
        }
    }
}

/// Names of fields and of operators.
const NAMES: [&str; 14] = [
    "a",
    "b",
    "c",
    "gt",
    "le",
    "ne",
    "in",
    "prefix",
    "exists",
    "not",
    "any",
    "is",
    "?",
    "timestamp",
];
const SCALARS: [&str; 12] = [
    "null",
    "true",
    "0",
    "1",
    "2",
    "1.0",
    "-1",
    "\"a\"",
    "\"ab\"",
    "\"int\"",
    "\"number\"",
    "\"...\"",
];

fn composite(choices: &mut impl Iterator<Item = u8>, depth: usize) -> String {
    let choice = choices.next().unwrap_or(0);
    let count = usize::from(choice / 2 % 4);
    if choice % 2 == 0 {
        let elements: Vec<_> = (0..count).map(|_| value(choices, depth)).collect();
        return format!("[{}]", elements.join(","));
    }
    let mut field = || {
        let name = NAMES[usize::from(choices.next().unwrap_or(0)) % NAMES.len()];
        format!("\"{name}\":{}", value(choices, depth))
    };
    let fields: Vec<_> = (0..count).map(|_| field()).collect();
    format!("{{{}}}", fields.join(","))
}

fn value(choices: &mut impl Iterator<Item = u8>, depth: usize) -> String {
    let choice = usize::from(choices.next().unwrap_or(0));
    match depth.checked_sub(1) {
        Some(depth) if choice % 3 == 0 => composite(choices, depth),
        _ => SCALARS[choice / 3 % SCALARS.len()].to_owned(),
    }
}

fn is_found(tuple: &Tuple<'_>, template: &Arc<Template>) {
    if !template.matches(tuple) {
        return;
    }
    let digest = Digest::of(tuple);
    let mut index = TupleIndex::default();
    let entry = index.entry(&digest);
    index.insert(Sequence(5), entry.as_entry()).expect("room");
    assert_eq!(index.next(&mut Search::new(template)), Step::Candidate(Sequence(5)));
    let mut waiters = Waiters::default();
    waiters.add(WaiterId(1), Intent::Take, template).expect("room");
    assert_eq!(waiters.arrived(tuple, &digest, &mut Vec::new()), Some(WaiterId(1)));
}
