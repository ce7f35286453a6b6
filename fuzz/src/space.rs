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
