//! Changes to the properties of an encoded content header: a header field set or taken away, the expiration dropped. What is not changed is
//! copied as it came and never built.

use crate::content::{ContentHeader, flags, malformed};
use crate::wire::{Reader, with_length};
use crate::{Fault, ShortStr, Table, Value, WireError};

/// One change to a content header. Field names are those of the property `headers`.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// The field has this value: in the place of the first of that name, which it replaces, or at the end of the table.
    Set(ShortStr<'a>, &'a Value),
    /// No field has that name. The property stays, even if it is empty then.
    Remove(ShortStr<'a>),
    /// The property `expiration` is not there.
    WithoutExpiration,
}

/// How many changes can be made at once.
pub const CHANGES_MAX: usize = 64;

const HEADERS: u16 = 1 << 13;
const EXPIRATION: u16 = 1 << 8;

/// Appends to `out` the payload of a content header frame, with changes. A field has at most one of them. If the header has no table and a
/// field is set, it gets one.
///
/// # Errors
/// As [`Properties::decode`](super::Properties::decode), for what is read: `out` is as long as before then.
///
/// # Panics
/// With more than [`CHANGES_MAX`] changes.
pub fn edit(header: &[u8], changes: &[Change<'_>], out: &mut Vec<u8>) -> Result<(), WireError> {
    assert!(changes.len() <= CHANGES_MAX, "a content header is changed in few places at once");
    let start = out.len();
    let edited = try_edit(header, changes, out);
    if edited.is_err() {
        out.truncate(start);
    }
    edited
}

fn try_edit(header: &[u8], changes: &[Change<'_>], out: &mut Vec<u8>) -> Result<(), WireError> {
    let ContentHeader {
        class,
        body_size,
        properties,
    } = ContentHeader::decode(header)?;
    let parts = Parts::of(properties)?;
    let sets = changes.iter().any(|change| matches!(change, Change::Set(..)));
    let drops = parts.flags & EXPIRATION != 0 && changes.iter().any(|change| matches!(change, Change::WithoutExpiration));
    let table = parts.table.or(sets.then_some(&[]));
    let flags = (parts.flags | if sets { HEADERS } else { 0 }) & if drops { !EXPIRATION } else { !0 };
    let properties = &[];
    ContentHeader {
        class,
        body_size,
        properties,
    }
    .encode(out);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(parts.before);
    if let Some(table) = table {
        let mut outcome = Ok(());
        with_length(out, |out| outcome = fields(table, changes, out));
        outcome?;
    }
    if drops {
        let (before, after) = around_expiration(parts.flags, parts.after)?;
        out.extend_from_slice(before);
        out.extend_from_slice(after);
    } else {
        out.extend_from_slice(parts.after);
    }
    Ok(())
}

/// Flags and list of the properties, cut at the headers.
struct Parts<'a> {
    flags: u16,
    before: &'a [u8],
    table: Option<&'a [u8]>,
    after: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(properties: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(properties);
        let flags = flags(&mut reader)?;
        let list = reader.rest();
        skip_shorts(&mut reader, flags, &[(1 << 15, "content-type"), (1 << 14, "content-encoding")])?;
        let before = consumed(list, &reader);
        let table = if flags & HEADERS == 0 {
            None
        } else {
            Some(reader.long().map_err(|fault| malformed("headers", fault.into()))?)
        };
        Ok(Self {
            flags,
            before,
            table,
            after: reader.rest(),
        })
    }
}

/// What stands before and after the expiration, of what follows the headers.
fn around_expiration(flags: u16, list: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut reader = Reader::new(list);
    for (flag, name) in [(1 << 12, "delivery-mode"), (1 << 11, "priority")] {
        if flags & flag != 0 {
            reader.u8().map_err(|fault| malformed(name, fault.into()))?;
        }
    }
    skip_shorts(&mut reader, flags, &[(1 << 10, "correlation-id"), (1 << 9, "reply-to")])?;
    let before = consumed(list, &reader);
    skip_shorts(&mut reader, flags, &[(EXPIRATION, "expiration")])?;
    Ok((before, reader.rest()))
}

fn skip_shorts(reader: &mut Reader<'_>, flags: u16, properties: &[(u16, &'static str)]) -> Result<(), WireError> {
    for &(flag, name) in properties {
        if flags & flag != 0 {
            reader.short().map_err(|fault| malformed(name, fault.into()))?;
        }
    }
    Ok(())
}

/// What was read of `list`.
fn consumed<'a>(list: &'a [u8], reader: &Reader<'_>) -> &'a [u8] {
    list.get(..list.len() - reader.rest().len()).unwrap_or_default()
}

/// Appends the fields of a table with the changes.
fn fields(table: &[u8], changes: &[Change<'_>], out: &mut Vec<u8>) -> Result<(), WireError> {
    let malformed = |fault| malformed("headers", Fault::Table(fault));
    let mut reader = Reader::new(table);
    let mut done = 0u64;
    while !reader.is_empty() {
        let rest = reader.rest();
        let name = reader.short().map_err(|fault| malformed(fault.into()))?;
        Value::skip(&mut reader, Table::DEPTH_MAX - 1).map_err(malformed)?;
        let change = changes.iter().position(|change| match change {
            Change::Set(changed, _) | Change::Remove(changed) => *changed == name,
            Change::WithoutExpiration => false,
        });
        match change.and_then(|at| Some((at, changes.get(at)?))) {
            Some((at, Change::Set(name, value))) => {
                if done & 1 << at == 0 {
                    done |= 1 << at;
                    field(*name, value, out);
                }
            }
            Some(_) => {}
            None => out.extend_from_slice(consumed(rest, &reader)),
        }
    }
    for (at, change) in changes.iter().enumerate() {
        if let Change::Set(name, value) = change
            && done & 1 << at == 0
        {
            field(*name, value, out);
        }
    }
    Ok(())
}

fn field(name: ShortStr<'_>, value: &Value, out: &mut Vec<u8>) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    value.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Properties;
    use crate::testing;
    use proptest::prelude::*;

    fn short(name: &str) -> ShortStr<'_> {
        ShortStr::literal(name)
    }

    fn payload(properties: &Properties<'_>) -> Vec<u8> {
        let mut list = Vec::new();
        properties.encode(&mut list);
        let mut out = Vec::new();
        ContentHeader {
            class: 60,
            body_size: 5,
            properties: &list,
        }
        .encode(&mut out);
        out
    }

    #[test]
    fn one_change_at_a_time() {
        let one = Value::from(1i64);
        type Fields<'a> = &'a [(&'a str, i64)];
        let cases: [(Option<Fields<'_>>, &[Change<'_>], Option<Fields<'_>>); 9] = [
            (None, &[], None),
            (None, &[Change::Remove(short("a"))], None),
            (None, &[Change::Set(short("a"), &one)], Some(&[("a", 1)])),
            (Some(&[]), &[Change::Set(short("a"), &one)], Some(&[("a", 1)])),
            (
                Some(&[("a", 7), ("b", 8)]),
                &[Change::Set(short("a"), &one)],
                Some(&[("a", 1), ("b", 8)]),
            ),
            (
                Some(&[("c", 7), ("b", 8)]),
                &[Change::Set(short("a"), &one)],
                Some(&[("c", 7), ("b", 8), ("a", 1)]),
            ),
            (
                Some(&[("a", 7), ("b", 8), ("a", 9)]),
                &[Change::Set(short("a"), &one), Change::Remove(short("b"))],
                Some(&[("a", 1)]),
            ),
            (Some(&[("a", 7), ("a", 8)]), &[Change::Remove(short("a"))], Some(&[])),
            (Some(&[("a", 7)]), &[Change::WithoutExpiration], Some(&[("a", 7)])),
        ];
        for (given, changes, expected) in cases {
            let table = |fields: Fields<'_>| fields.iter().copied().collect::<Table>().encoded();
            let (given, expected) = (given.map(table), expected.map(table));
            let properties = |headers: &Option<crate::EncodedTable>| {
                let headers = headers.as_ref().map(|table| table.raw().bytes().to_vec());
                let raw = headers.as_deref().map(|bytes| crate::RawTable::new(bytes).expect("well-formed"));
                payload(&Properties {
                    content_type: Some(short("text")),
                    headers: raw,
                    delivery_mode: Some(2),
                    ..Properties::default()
                })
            };
            let mut out = vec![0xee];
            edit(&properties(&given), changes, &mut out).expect("well-formed");
            assert_eq!(out[1..], properties(&expected), "{changes:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_an_error_and_leaves_nothing_behind() {
        let one = Value::from(1i64);
        let cases: [&[u8]; 4] = [
            b"\0\x3c\0\0\0\0\0\0\0\0\0",
            b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\x01",
            b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\x02\x01a",
            b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x01\0\x05a",
        ];
        for header in cases {
            let mut out = vec![1, 2];
            edit(header, &[Change::Set(short("a"), &one), Change::WithoutExpiration], &mut out).expect_err("malformed");
            assert_eq!(out, [1, 2]);
        }
    }

    proptest! {
        #[test]
        fn editing_is_decoding_changing_and_encoding(
            header in testing::header(9),
            expires in any::<bool>(),
            sets in proptest::collection::vec((any::<proptest::sample::Index>(), testing::value()), 0..3),
            removes in proptest::collection::vec(any::<proptest::sample::Index>(), 0..3),
        ) {
            let given = ContentHeader::decode(&header).expect("a header");
            let mut properties = Properties::decode(given.properties).expect("properties");
            let mut table = properties.headers.map(|raw| raw.to_table()).unwrap_or_default();
            // Names that are there and names that are not, each once.
            let mut names: Vec<_> = table.iter().map(|(name, _)| name.clone()).collect();
            names.extend(["x-new", "x-death"].map(|name| ShortStr::literal(name).into()));
            let mut changed = Vec::new();
            let mut changes = Vec::new();
            for (index, value) in &sets {
                let name = index.get(&names);
                if !changed.contains(name) {
                    changed.push(name.clone());
                    changes.push(Change::Set(name.as_short(), value));
                    let mut first = true;
                    let known = table.get(name).is_some();
                    table = table.into_iter().filter_map(|(field, old)| match () {
                        () if field != *name => Some((field, old)),
                        () if std::mem::take(&mut first) => Some((field, value.clone())),
                        () => None,
                    }).collect();
                    if !known {
                        table.insert(name.clone(), value.clone());
                    }
                }
            }
            for index in &removes {
                let name = index.get(&names);
                if !changed.contains(name) {
                    changed.push(name.clone());
                    changes.push(Change::Remove(name.as_short()));
                    table.remove(name);
                }
            }
            if expires {
                changes.push(Change::WithoutExpiration);
                properties.expiration = None;
            }
            let encoded = table.encoded();
            if properties.headers.is_some() || !table.is_empty() {
                properties.headers = Some(encoded.raw());
            }
            let mut list = Vec::new();
            properties.encode(&mut list);
            let mut expected = Vec::new();
            ContentHeader { properties: &list, ..given }.encode(&mut expected);
            let mut edited = Vec::new();
            edit(&header, &changes, &mut edited).expect("well-formed");
            prop_assert_eq!(edited, expected);
        }
    }
}
