//! Dead letters (RabbitMQ extension): what becomes of a message's header when it leaves its queue for a dead-letter exchange, and of a message that a
//! delayed-message exchange lets go.
//!
//! The fields, their types and their order are those of RabbitMQ 3.10, seen on the wire; `x-last-death-*` are 4.0's. Where it differs on purpose:
//! entries of `x-death` keep their order behind the newest (3.10 mixes up the older ones when there are more than two, later releases do not),
//! and an `x-death` from a client with something else than tables in it is kept (3.10 loses the message).

use std::collections::BTreeMap;

use stoa_amqp::content::{ContentHeader, Properties};
use stoa_amqp::{ShortStr, ShortString, Table, Value, WireError};

use crate::record::Record;
use crate::shard::Reason;
use crate::topology::{DELAY, delay_ms};

const DEATHS: &str = "x-death";
/// The header that names further routing keys (RabbitMQ, sender-selected distribution).
const CC: &str = "CC";
/// The same, and taken out before delivery; a message in a queue has it no more.
const BCC: &str = "BCC";

/// A message on its way through the dead-letter exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Dead-letter exchange and routing key, as they stand in a record.
    pub envelope: Vec<u8>,
    /// The payload of the content header frame.
    pub header: Vec<u8>,
    /// The keys by which it is routed: one, or those that it was published with.
    pub routing_keys: Vec<ShortString>,
    /// The headers that it has now.
    pub headers: Table,
    is_rejected: bool,
}

/// How a message died.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// Why.
    pub reason: Reason,
    /// The name of the queue.
    pub queue: &'a ShortString,
    /// Where it goes.
    pub exchange: &'a ShortString,
    /// With this key instead of its own.
    pub routing_key: Option<&'a ShortString>,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// Makes a dead letter of a message.
///
/// # Errors
/// If the record's header is malformed, which publishing has ruled out.
pub fn dead_letter(record: Record<'_>, death: &Death<'_>) -> Result<DeadLetter, WireError> {
    let (content, properties) = read(record)?;
    let headers = properties.headers.map(|headers| headers.to_table()).unwrap_or_default();
    let (exchange, key) = exchange_and_key(record.envelope());
    let mut headers = Fields::of(headers);
    let mut keys = vec![ShortString::from(key)];
    keys.extend(further_keys(&headers));
    add_death(&mut headers, death, exchange, &keys, properties.expiration);
    if let Some(routing_key) = death.routing_key {
        headers.0.remove(CC.as_bytes());
        headers.0.remove(BCC.as_bytes());
        keys = vec![routing_key.clone()];
    }
    let headers = headers.into_table();
    let encoded = headers.encoded();
    let properties = Properties {
        headers: Some(encoded.raw()),
        expiration: None,
        ..properties
    };
    Ok(DeadLetter {
        envelope: envelope(death.exchange, &keys[0]),
        header: write(&content, &properties),
        routing_keys: keys,
        headers,
        is_rejected: death.reason == Reason::Rejected,
    })
}

impl DeadLetter {
    /// Whether the message would go round in a circle for ever if it came to this queue: it was there before, and nobody has rejected it since.
    #[must_use]
    pub fn is_cycle(&self, queue: &ShortString) -> bool {
        if self.is_rejected {
            return false;
        }
        let deaths = self.headers.get(DEATHS).and_then(Value::as_array).unwrap_or_default();
        let field = |death: &Value, name| {
            death
                .as_table()
                .and_then(|death| death.get(name))
                .and_then(Value::as_bytes)
                .map(<[u8]>::to_vec)
        };
        let Some(last) = deaths
            .iter()
            .position(|death| field(death, "queue").as_deref() == Some(queue.as_bytes()))
        else {
            return false;
        };
        let rejected = Reason::Rejected.name().as_bytes();
        deaths[..=last]
            .iter()
            .all(|death| field(death, "reason").as_deref() != Some(rejected))
    }
}

/// A message that a delayed-message exchange lets go.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayedLetter {
    /// The payload of the content header frame.
    pub header: Vec<u8>,
    /// The keys by which it is routed: those that it was published with.
    pub routing_keys: Vec<ShortString>,
    /// How long it may wait in a queue from now on (the property `expiration`), in ms.
    pub expiration_ms: Option<u64>,
}

/// What becomes of a message whose delay is over: `x-delay` is negated, as RabbitMQ's plugin does it, so that no other exchange delays it again and
/// whoever gets it sees that it was delayed.
///
/// # Errors
/// If the record's header is malformed, which publishing has ruled out.
pub fn after_delay(record: Record<'_>) -> Result<DelayedLetter, WireError> {
    let (content, properties) = read(record)?;
    let table = properties.headers.map(|headers| headers.to_table()).unwrap_or_default();
    let mut headers = Fields::of(table.clone());
    if let Some(delay) = delay_ms(&table) {
        let delay = -delay.cast_signed();
        headers.set(DELAY, i32::try_from(delay).map_or(Value::I64(delay), Value::I32));
    }
    let mut routing_keys = vec![ShortString::from(exchange_and_key(record.envelope()).1)];
    routing_keys.extend(further_keys(&headers));
    let encoded = headers.into_table().encoded();
    let properties = Properties {
        headers: Some(encoded.raw()),
        ..properties
    };
    Ok(DelayedLetter {
        header: write(&content, &properties),
        routing_keys,
        expiration_ms: properties.expiration.and_then(|text| text.as_str_lossy().parse().ok()),
    })
}

/// The keys by which a message is routed: its own, and those in its header `CC`.
#[must_use]
pub fn routing_keys(record: Record<'_>) -> Vec<ShortString> {
    let mut keys = vec![ShortString::from(exchange_and_key(record.envelope()).1)];
    if let Some(headers) = read(record).ok().and_then(|(_, properties)| properties.headers) {
        keys.extend(further_keys(&Fields::of(headers.to_table())));
    }
    keys
}

/// The keys in the header `CC`.
fn further_keys(headers: &Fields) -> impl Iterator<Item = ShortString> {
    let keys = headers.0.get(CC.as_bytes()).and_then(Value::as_array).unwrap_or_default();
    keys.iter().filter_map(|key| ShortString::new(key.as_bytes()?).ok())
}

/// A table's fields in the order of their names: so RabbitMQ keeps a table in which it has set a field.
struct Fields(BTreeMap<ShortString, Value>);

impl Fields {
    fn of(table: Table) -> Self {
        let mut fields = BTreeMap::new();
        for (name, value) in table {
            // Of several fields of one name the first counts.
            fields.entry(name).or_insert(value);
        }
        Self(fields)
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    fn into_table(self) -> Table {
        self.0.into_iter().collect()
    }
}

fn add_death(headers: &mut Fields, death: &Death<'_>, exchange: ShortStr<'_>, keys: &[ShortString], expiration: Option<ShortStr<'_>>) {
    let reason = death.reason.name();
    let (queue, exchange) = (Value::from(death.queue.as_short()), Value::from(exchange));
    let keys: Vec<Value> = keys.iter().map(|key| Value::from(key.as_short())).collect();
    let mut entry: Table = [
        ("count", Value::from(1_i64)),
        ("reason", reason.into()),
        ("queue", queue.clone()),
        ("time", Value::Timestamp(death.time)),
        ("exchange", exchange.clone()),
        ("routing-keys", keys.into()),
    ]
    .into_iter()
    .collect();
    if let Some(expiration) = expiration {
        entry.insert("original-expiration", expiration);
    }
    let deaths = match headers.0.remove(DEATHS.as_bytes()) {
        Some(Value::Array(deaths)) => {
            let mut deaths = counted(deaths);
            let is_same = |death: &Value| {
                let death = death.as_table();
                let field = |name| death.and_then(|death| death.get(name));
                field("queue") == Some(&queue) && field("reason").and_then(Value::as_str) == Some(reason)
            };
            let same = deaths.extract_if(.., |death| is_same(death)).next();
            if let Some(Value::Table(same)) = same {
                let count = same.get("count").and_then(Value::as_i64).unwrap_or(1).saturating_add(1);
                entry = same;
                entry.insert("count", count);
            }
            deaths.retain(|death| !is_same(death));
            deaths.insert(0, Fields::of(entry).into_table().into());
            deaths
        }
        other => {
            if other.is_none() {
                set_death(headers, "x-first-death", reason, &queue, &exchange);
            }
            vec![entry.into()]
        }
    };
    headers.set(DEATHS, deaths);
    set_death(headers, "x-last-death", reason, &queue, &exchange);
}

/// Before RabbitMQ counted, each death was an entry. Where a client sends such ones, those of the same queue and reason become one with their count
/// (RabbitMQ 3.6 to 3.13).
fn counted(deaths: Vec<Value>) -> Vec<Value> {
    let lacks_count = |death: &Value| death.as_table().is_some_and(|death| death.get("count").is_none());
    if !deaths.iter().any(lacks_count) {
        return deaths;
    }
    let key = |death: &Value| {
        let death = death.as_table()?;
        Some((death.get("queue").cloned(), death.get("reason").cloned()))
    };
    let mut groups: Vec<(Value, i64)> = Vec::new();
    for death in deaths {
        let of = key(&death);
        match groups.iter_mut().find(|(first, _)| of.is_some() && key(first) == of) {
            Some((_, count)) => *count += 1,
            None => groups.push((death, 1)),
        }
    }
    let with_count = |(death, count)| match death {
        Value::Table(mut death) if death.get("count").is_none() => {
            death.insert("count", count);
            Value::Table(death)
        }
        other => other,
    };
    groups.into_iter().map(with_count).collect()
}

fn set_death(headers: &mut Fields, prefix: &str, reason: &str, queue: &Value, exchange: &Value) {
    headers.set(&format!("{prefix}-reason"), reason);
    headers.set(&format!("{prefix}-queue"), queue.clone());
    headers.set(&format!("{prefix}-exchange"), exchange.clone());
}

fn read<'a>(record: Record<'a>) -> Result<(ContentHeader<'a>, Properties<'a>), WireError> {
    let content = ContentHeader::decode(record.header())?;
    Ok((content, Properties::decode(content.properties)?))
}

fn write(content: &ContentHeader<'_>, properties: &Properties<'_>) -> Vec<u8> {
    let mut list = Vec::new();
    properties.encode(&mut list);
    let mut header = Vec::with_capacity(list.len() + 12);
    let content = ContentHeader {
        properties: &list,
        ..*content
    };
    content.encode(&mut header);
    header
}

/// Exchange and routing key out of a record's envelope.
#[must_use]
pub fn exchange_and_key(envelope: &[u8]) -> (ShortStr<'_>, ShortStr<'_>) {
    let (exchange, rest) = first_short(envelope);
    (exchange, first_short(rest).0)
}

fn first_short(octets: &[u8]) -> (ShortStr<'_>, &[u8]) {
    let parts = octets.split_first().and_then(|(size, rest)| rest.split_at_checked((*size).into()));
    let (short, rest) = parts.unwrap_or_default();
    (ShortStr::new(short).unwrap_or_default(), rest)
}

fn envelope(exchange: &ShortString, key: &ShortString) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(2 + exchange.len() + key.len());
    for part in [exchange, key] {
        envelope.push(part.len() as u8);
        envelope.extend_from_slice(part.as_bytes());
    }
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{flags, push};

    /// A message in a queue, as it was published.
    fn message(exchange: &str, key: &str, headers: &Table, expiration: Option<&'static str>) -> Vec<u8> {
        let encoded = headers.encoded();
        let properties = Properties {
            content_type: Some(ShortStr::literal("t/p")),
            headers: (!headers.is_empty()).then(|| encoded.raw()),
            delivery_mode: Some(2),
            priority: Some(3),
            expiration: expiration.map(ShortStr::literal),
            user_id: Some(ShortStr::literal("guest")),
            ..Properties::default()
        };
        let content = ContentHeader {
            class: 60,
            body_size: 4,
            properties: &[],
        };
        let mut record = Vec::new();
        let envelope = envelope(&exchange.into(), &key.into());
        push(&mut record, flags::PERSISTENT, 3, &envelope, &write(&content, &properties), b"body");
        record
    }

    fn record(bytes: &[u8]) -> Record<'_> {
        Record::first_of(bytes).expect("a record")
    }

    fn die(message: &[u8], reason: Reason, queue: &str, routing_key: Option<&str>) -> DeadLetter {
        let (queue, exchange, routing_key) = (queue.into(), "dlx".into(), routing_key.map(ShortString::from));
        let death = Death {
            reason,
            queue: &queue,
            exchange: &exchange,
            routing_key: routing_key.as_ref(),
            time: 9,
        };
        let letter = dead_letter(record(message), &death).expect("a letter");
        let content = ContentHeader::decode(&letter.header).expect("a header");
        let properties = Properties::decode(content.properties).expect("properties");
        let headers = properties.headers.expect("headers").to_table();
        assert_eq!(format!("{headers:?}"), format!("{:?}", letter.headers));
        assert_eq!((content.class, content.body_size, properties.expiration), (60, 4, None));
        assert_eq!(
            (properties.content_type, properties.delivery_mode, properties.priority),
            (Some(ShortStr::literal("t/p")), Some(2), Some(3))
        );
        letter
    }

    /// The letter, published to its queue.
    fn arrived(letter: &DeadLetter) -> Vec<u8> {
        let mut record = Vec::new();
        push(&mut record, flags::PERSISTENT, 3, &letter.envelope, &letter.header, b"body");
        record
    }

    fn strings(strings: &[&str]) -> Value {
        Value::Array(strings.iter().map(|&string| string.into()).collect())
    }

    /// Tables with their fields in the order in which they are written, the values as RabbitMQ's tools show them.
    fn shown(table: &Table) -> String {
        let field = |(name, value): &(ShortString, Value)| format!("{name}={}", shown_value(value));
        table.iter().map(field).collect::<Vec<_>>().join(" ")
    }

    fn shown_value(value: &Value) -> String {
        match value {
            Value::Table(table) => format!("{{{}}}", shown(table)),
            Value::Array(values) => format!("[{}]", values.iter().map(shown_value).collect::<Vec<_>>().join(" ")),
            Value::Timestamp(seconds) => format!("T{seconds}"),
            Value::I64(n) => format!("l{n}"),
            Value::I32(n) => format!("I{n}"),
            other => other.as_str().unwrap_or("?").to_owned(),
        }
    }

    const FIRST: &str = "x-first-death-exchange= x-first-death-queue=src x-first-death-reason=rejected";
    const LAST: &str = "x-last-death-exchange= x-last-death-queue=src x-last-death-reason=rejected";

    #[test]
    fn the_first_death_is_written_as_rabbitmq_writes_it() {
        let cc: Table = [("h", Value::from(1)), ("CC", strings(&["k1", "k2"])), ("BCC", strings(&["k3"]))]
            .into_iter()
            .collect();
        let only: Table = [("zeta", 1), ("alpha", 2)].into_iter().collect();
        let entry = "{count=l1 reason=rejected queue=src time=T9 exchange= routing-keys=[src";
        #[rustfmt::skip]
        let cases = [
            (&cc, Some("60000"), None, format!("BCC=[k3] CC=[k1 k2] h=I1 x-death=[{entry} k1 k2] original-expiration=60000}}] {FIRST} {LAST}"), &["src", "k1", "k2"][..]),
            (&cc, None, Some("dk"), format!("h=I1 x-death=[{entry} k1 k2]}}] {FIRST} {LAST}"), &["dk"]),
            (&only, None, None, format!("alpha=I2 x-death=[{entry}]}}] {FIRST} {LAST} zeta=I1"), &["src"]),
            (&Table::new(), None, None, format!("x-death=[{entry}]}}] {FIRST} {LAST}"), &["src"]),
        ];
        for (headers, expiration, routing_key, expected, keys) in cases {
            let letter = die(&message("", "src", headers, expiration), Reason::Rejected, "src", routing_key);
            assert_eq!(shown(&letter.headers), expected);
            assert_eq!(
                letter.routing_keys,
                keys.iter().map(|&key| ShortString::from(key)).collect::<Vec<_>>()
            );
            assert_eq!(
                exchange_and_key(&letter.envelope),
                (ShortStr::literal("dlx"), letter.routing_keys[0].as_short())
            );
        }
        for reason in [Reason::Expired, Reason::MaxLength, Reason::DeliveryLimit] {
            let letter = die(&message("e", "k", &Table::new(), None), reason, "q", None);
            let reason = reason.name();
            let death = format!("x-death=[{{count=l1 reason={reason} queue=q time=T9 exchange=e routing-keys=[k]}}]");
            assert!(shown(&letter.headers).starts_with(&death), "{}", shown(&letter.headers));
        }
    }

    #[test]
    fn later_deaths_are_put_in_front_and_equal_ones_are_counted() {
        let mut message = message("e", "k", &Table::new(), Some("7"));
        let mut seen = Vec::new();
        for (reason, queue) in [
            (Reason::Rejected, "work"),
            (Reason::Expired, "wait"),
            (Reason::Rejected, "work"),
            (Reason::Expired, "wait"),
        ] {
            let letter = die(&message, reason, queue, Some(queue));
            seen.push(shown(&letter.headers));
            message = arrived(&letter);
        }
        let first = "x-first-death-exchange=e x-first-death-queue=work x-first-death-reason=rejected";
        let last = |queue, reason| format!("x-last-death-exchange=dlx x-last-death-queue={queue} x-last-death-reason={reason}");
        let wait = |count| format!("{{count=l{count} exchange=dlx queue=wait reason=expired routing-keys=[work] time=T9}}");
        let work =
            |count| format!("{{count=l{count} exchange=e original-expiration=7 queue=work reason=rejected routing-keys=[k] time=T9}}");
        let unsorted = "{count=l1 reason=rejected queue=work time=T9 exchange=e routing-keys=[k] original-expiration=7}";
        assert_eq!(
            seen[1],
            format!("x-death=[{} {unsorted}] {first} {}", wait(1), last("wait", "expired"))
        );
        assert_eq!(
            seen[2],
            format!("x-death=[{} {}] {first} {}", work(2), wait(1), last("work", "rejected"))
        );
        assert_eq!(
            seen[3],
            format!("x-death=[{} {}] {first} {}", wait(2), work(2), last("wait", "expired"))
        );
    }

    #[test]
    fn deaths_that_nobody_counted_are_counted() {
        let death = |queue: &str, reason: &str, count: Option<i64>| {
            let mut death: Table = [("queue", Value::from(queue)), ("reason", reason.into())].into_iter().collect();
            count.into_iter().for_each(|count| death.insert("count", count));
            Value::from(death)
        };
        let uncounted = [
            ("a", "expired"),
            ("b", "expired"),
            ("a", "expired"),
            ("a", "rejected"),
            ("a", "expired"),
        ];
        let mut deaths: Vec<_> = uncounted.map(|(queue, reason)| death(queue, reason, None)).into();
        deaths.insert(2, "no table".into());
        deaths.push(death("b", "expired", Some(7)));
        let grouped = counted(deaths);
        let expected = [
            death("a", "expired", Some(3)),
            death("b", "expired", Some(2)),
            "no table".into(),
            death("a", "rejected", Some(1)),
        ];
        assert_eq!(grouped, expected);
        assert_eq!(counted(grouped.clone()), grouped);
    }

    #[test]
    fn what_a_client_calls_deaths_is_taken_as_it_is_but_counted() {
        let death = |fields: &[(&str, Value)]| Value::from(fields.iter().cloned().collect::<Table>());
        let same = |count: Value| {
            death(&[
                ("zz", 1.into()),
                ("queue", "src".into()),
                ("reason", "rejected".into()),
                ("count", count),
            ])
        };
        let other = death(&[("queue", "o".into()), ("reason", "maxlen".into())]);
        let unsorted = "{count=l1 reason=rejected queue=src time=T9 exchange= routing-keys=[src]}";
        let sorted = "{count=l1 exchange= queue=src reason=rejected routing-keys=[src] time=T9}";
        let counted = |count| format!("{{count=l{count} queue=src reason=rejected zz=I1}}");
        #[rustfmt::skip]
        let cases = [
            (Value::from("text"), unsorted.to_owned()),
            (5.into(), unsorted.to_owned()),
            (Value::Array(vec![]), sorted.to_owned()),
            (strings(&["text"]), format!("{sorted} text")),
            (Value::Array(vec![same(7.into())]), counted(8)),
            (Value::Array(vec![other.clone(), same(i64::MAX.into()), same(3.into())]), format!("{} {{queue=o reason=maxlen count=l1}}", counted(i64::MAX))),
            (Value::Array(vec![same("x".into())]), counted(2)),
            (Value::Array(vec![other]), format!("{sorted} {{queue=o reason=maxlen count=l1}}")),
        ];
        for (deaths, expected) in cases {
            let headers = [("x-death", deaths)].into_iter().collect();
            let letter = die(&message("", "src", &headers, None), Reason::Rejected, "src", None);
            assert_eq!(shown(&letter.headers), format!("x-death=[{expected}] {LAST}"));
        }
        let headers = [("x-first-death-queue", "fake")].into_iter().collect();
        let letter = die(&message("", "src", &headers, None), Reason::Rejected, "src", None);
        assert_eq!(shown(&letter.headers), format!("x-death=[{unsorted}] {FIRST} {LAST}"));
    }

    #[test]
    fn a_circle_without_a_rejection_is_found() {
        use Reason::{Expired, MaxLength, Rejected};
        #[rustfmt::skip]
        let cases: [(&[_], &[&str]); 7] = [
            (&[(Expired, "a")], &["a"]),
            (&[(MaxLength, "a")], &["a"]),
            (&[(Rejected, "a")], &[]),
            (&[(Expired, "a"), (Expired, "b"), (MaxLength, "c")], &["a", "b", "c"]),
            (&[(Expired, "a"), (Rejected, "b"), (Expired, "c")], &["c"]),
            (&[(Rejected, "a"), (Expired, "b")], &["b"]),
            (&[(Expired, "a"), (Expired, "b"), (Rejected, "c")], &[]),
        ];
        for (deaths, cycles) in cases {
            let mut bytes = message("", "a", &Table::new(), None);
            let mut letter = None;
            for &(reason, queue) in deaths {
                let next = die(&bytes, reason, queue, None);
                bytes = arrived(&next);
                letter = Some(next);
            }
            let letter = letter.expect("a death");
            let found: Vec<_> = ["a", "b", "c", "d"]
                .into_iter()
                .filter(|&queue| letter.is_cycle(&queue.into()))
                .collect();
            assert_eq!(found, cycles, "after {deaths:?}");
        }
    }

    #[test]
    fn a_delay_is_negated_once_it_is_over() {
        #[rustfmt::skip]
        let cases = [
            (Value::from(5000), "x-delay=I-5000"),
            (Value::from(5000_i64), "x-delay=I-5000"),
            (Value::from("250"), "x-delay=I-250"),
            (Value::from(1.5), "x-delay=I-1"),
            (Value::from("soon"), "x-delay=soon"),
        ];
        for (delay, expected) in cases {
            let headers = [("z", 1.into()), ("x-delay", delay), ("CC", strings(&["k2"]))]
                .into_iter()
                .collect();
            let message = message("e", "k", &headers, Some("7"));
            let letter = after_delay(record(&message)).expect("a header");
            let properties = Properties::decode(&letter.header[12..]).expect("properties");
            let headers = properties.headers.expect("headers").to_table();
            assert_eq!(shown(&headers), format!("CC=[k2] {expected} z=I1"));
            assert_eq!(
                (letter.routing_keys, letter.expiration_ms),
                (vec!["k".into(), "k2".into()], Some(7))
            );
            assert_eq!(properties.expiration, Some(ShortStr::literal("7")));
        }
    }

    #[test]
    fn an_envelope_that_is_cut_short_has_empty_names() {
        for (envelope, exchange, key) in [
            (&b"\x01e\x02kk"[..], "e", "kk"),
            (b"\x01e\x02k", "e", ""),
            (b"\x09e", "", ""),
            (b"", "", ""),
        ] {
            let (found_exchange, found_key) = exchange_and_key(envelope);
            assert_eq!(
                (found_exchange.as_bytes(), found_key.as_bytes()),
                (exchange.as_bytes(), key.as_bytes())
            );
        }
    }
}
