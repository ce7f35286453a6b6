//! What the tests are fed with: values, tables, methods and whole streams, made at random and without the code that they test.

use crate::method::layout_of;
use crate::wire::Kind;
use crate::{Method, ShortString, Table, Value};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

/// Octets of a short string that is text.
pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-z0-9._-]{0,20}",
        1 => ".{0,60}",
        1 => "[a-z]{250,255}",
    ]
    .prop_map(String::into_bytes)
}

/// Octets of any short string.
pub(crate) fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => name().boxed(), 1 => vec(any::<u8>(), 0..=255).boxed()]
}

/// Any value that is no table and no array.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::LongString(Bytes::from(bytes))),
        any::<u64>().prop_map(Value::Timestamp),
        Just(Value::Void),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::ByteArray(Bytes::from(bytes))),
    ]
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            table_of(inner).prop_map(Value::Table),
        ]
    })
}

fn table_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
    vec((name(), value), 0..5).prop_map(|fields| {
        let named = |(name, value): (Vec<u8>, Value)| (ShortString::new(name).expect("short"), value);
        fields.into_iter().map(named).collect()
    })
}

/// Any table.
pub(crate) fn table() -> impl Strategy<Value = Table> {
    table_of(value())
}

/// Octets of a table whose names, at every level, ascend: as a decoder that sorts them writes it again.
pub(crate) fn ascending(table: &Table) -> Table {
    fn value(v: &Value) -> Value {
        match v {
            Value::Table(table) => Value::Table(ascending(table)),
            Value::Array(elements) => Value::Array(elements.iter().map(value).collect()),
            other => other.clone(),
        }
    }
    let by_name: std::collections::BTreeMap<_, _> = table.iter().map(|(name, v)| (name.clone(), value(v))).collect();
    by_name.into_iter().collect()
}

fn with_size(size: &[u8], bytes: &[u8]) -> Vec<u8> {
    [size, bytes].concat()
}

/// The octets of a field; a bit is an octet of 0 or 1, to be packed later.
fn field(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    let short = |bytes: Vec<u8>| with_size(&[bytes.len() as u8], &bytes);
    let long = |bytes: Vec<u8>| with_size(&(bytes.len() as u32).to_be_bytes(), &bytes);
    match kind {
        Kind::U8 => vec(any::<u8>(), 1).boxed(),
        Kind::U16 => vec(any::<u8>(), 2).boxed(),
        Kind::U32 => vec(any::<u8>(), 4).boxed(),
        Kind::U64 => vec(any::<u8>(), 8).boxed(),
        Kind::Bit => vec(0..=1u8, 1).boxed(),
        Kind::Name => name().prop_map(short).boxed(),
        Kind::Octets => octets().prop_map(short).boxed(),
        Kind::Long => vec(any::<u8>(), 0..50).prop_map(long).boxed(),
        Kind::Table => table().prop_map(move |table| long(ascending(&table).to_bytes())).boxed(),
    }
}

/// What a reserved field is written as.
fn reserved(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    let zeros = match kind {
        Kind::U8 | Kind::Bit | Kind::Name | Kind::Octets => 1,
        Kind::U16 => 2,
        Kind::U32 | Kind::Long | Kind::Table => 4,
        Kind::U64 => 8,
    };
    Just(vec![0; zeros]).boxed()
}

/// Puts consecutive bits into octets, the first one lowest.
fn pack(fields: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in fields.chunk_by(|(a, _), (b, _)| *a == Kind::Bit && *b == Kind::Bit) {
        if run[0].0 == Kind::Bit {
            out.push(run.iter().rev().fold(0, |octet, (_, bit)| octet << 1 | bit[0]));
        } else {
            out.extend_from_slice(&run[0].1);
        }
    }
    out
}

/// The payload of a method frame of that method.
pub(crate) fn payload_of(class: u16, method: u16) -> BoxedStrategy<Vec<u8>> {
    let layout = layout_of(class, method);
    let fields: Vec<_> = layout
        .iter()
        .map(|&(name, kind)| if name == "reserved" { reserved(kind) } else { field(kind) })
        .collect();
    let packed = move |fields: Vec<Vec<u8>>| {
        let kinds = layout.iter().map(|&(_, kind)| kind);
        let id = [class.to_be_bytes(), method.to_be_bytes()].concat();
        with_size(&id, &pack(&kinds.zip(fields).collect::<Vec<_>>()))
    };
    fields.prop_map(packed).boxed()
}

/// The payload of a method frame of any method.
pub(crate) fn payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(Method::IDS).prop_flat_map(|(class, method)| payload_of(class, method))
}

/// A frame around this payload.
pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let head = [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes()].concat();
    [&head, payload, &[206]].concat()
}

/// Property flags and list of class basic.
pub(crate) fn properties() -> impl Strategy<Value = Vec<u8>> {
    const KINDS: [Kind; 14] = {
        let mut kinds = [Kind::Octets; 14];
        kinds[2] = Kind::Table;
        kinds[3] = Kind::U8;
        kinds[4] = Kind::U8;
        kinds[9] = Kind::U64;
        kinds
    };
    let optional = |kind| proptest::option::of(field(kind)).boxed();
    KINDS.map(optional).to_vec().prop_map(|values| {
        let flags = (0..14)
            .zip(&values)
            .fold(0u16, |flags, (n, value)| flags | u16::from(value.is_some()) << (15 - n));
        let list: Vec<u8> = values.into_iter().flatten().flatten().collect();
        with_size(&flags.to_be_bytes(), &list)
    })
}

/// The payload of a header frame of class basic.
pub(crate) fn header(body_size: usize) -> impl Strategy<Value = Vec<u8>> {
    let head = [&[0, 60, 0, 0][..], &(body_size as u64).to_be_bytes()].concat();
    properties().prop_map(move |properties| with_size(&head, &properties))
}

/// The frames of a publish, and what they were made of: payload of the method, of the header, and the body.
pub(crate) fn publish(channel: u16) -> impl Strategy<Value = (Vec<u8>, [Vec<u8>; 3])> {
    let parts = vec(any::<u8>(), 0..100).prop_flat_map(|body| (payload_of(60, 40), header(body.len()), Just(body)));
    parts.prop_map(move |(method, header, body)| {
        let mut frames = [frame(1, channel, &method), frame(2, channel, &header)].concat();
        if !body.is_empty() {
            frames.extend(frame(3, channel, &body));
        }
        (frames, [method, header, body])
    })
}

/// What a client might send: methods, publishes and heartbeats.
pub(crate) fn stream() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        payload().prop_map(|payload| frame(1, 1, &payload)),
        publish(1).prop_map(|(frames, _)| frames),
        Just(frame(8, 0, &[])),
    ];
    vec(one, 1..4).prop_map(|frames| frames.concat())
}
