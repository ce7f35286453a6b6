//! What a publish says in its properties: checked once, remembered for the messages after it, which usually say the same.

use stoa_amqp::content::{self, ContentHeader, Properties};
use stoa_amqp::{RawTable, ReplyCode, ShortStr, Value};

use super::error::Exception;
use crate::reply_to;

const PUBLISH: (u16, u16) = (60, 40);

/// The properties of the last message, octet for octet, and what they come down to.
#[derive(Debug, Default)]
pub(crate) struct KnownProperties {
    octets: Vec<u8>,
    of: Option<Checked>,
    /// Where the last message goes beside its routing key.
    pub(crate) copies: Copies,
}

/// What the broker acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) persistent: bool,
    pub(crate) priority: u8,
    /// How long the message may wait in a queue.
    pub(crate) expiration_ms: Option<u64>,
    /// There are [`Copies`].
    pub(crate) has_copies: bool,
    /// The answer is to go to the publisher's own reply consumer: the property is to name that.
    pub(crate) wants_reply_name: bool,
    /// It goes to a space, and its body is its tuple: that must lie in the record, whatever its size.
    pub(crate) is_tuple: bool,
}

impl Checked {
    /// The message goes by its routing key alone, as it is, and does not expire.
    fn is_plain(self) -> bool {
        self.expiration_ms.is_none() && !self.has_copies && !self.wants_reply_name
    }
}

/// Sender-selected distribution (a RabbitMQ extension): further routing keys that the message itself names.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// The keys of `CC` and `BCC`.
    pub(crate) keys: Vec<Box<[u8]>>,
    /// There is a header `BCC`, which is nobody's business.
    pub(crate) is_blind: bool,
}

/// Properties that are longer are checked each time.
const REMEMBERED_MAX: usize = 256;

/// The longest time to live, ten years, as RabbitMQ has it.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;

impl KnownProperties {
    /// Checks the content header of a message that this user publishes.
    pub(crate) fn check(&mut self, header: &ContentHeader<'_>, user: &str) -> Result<Checked, Exception> {
        if header.class != content::CLASS_BASIC {
            let text = format!(
                "expected a content header for class {}, got one for class {} instead",
                content::CLASS_BASIC,
                header.class
            );
            return Err(Exception::connection(ReplyCode::UnexpectedFrame, PUBLISH, text));
        }
        if let Some(known) = self.of
            && self.octets == header.properties
        {
            return Ok(known);
        }
        self.of = None;
        let wrong = |error: stoa_amqp::WireError| Exception::connection(error.code(), PUBLISH, error.to_string());
        let properties = Properties::decode(header.properties).map_err(wrong)?;
        let checked = self.check_all(&properties, user)?;
        if header.properties.len() <= REMEMBERED_MAX {
            self.octets.clear();
            self.octets.extend_from_slice(header.properties);
            self.of = Some(checked);
        }
        Ok(checked)
    }

    /// What the properties come down to, if they are those of the last message, and ask for nothing special.
    #[inline]
    pub(crate) fn plain(&self, header: &ContentHeader<'_>) -> Option<Checked> {
        self.of
            .filter(|known| known.is_plain() && header.class == content::CLASS_BASIC && self.octets == header.properties)
    }

    fn check_all(&mut self, properties: &Properties<'_>, user: &str) -> Result<Checked, Exception> {
        let refused = |text: String| Exception::new(ReplyCode::PreconditionFailed, PUBLISH, text);
        if let Some(user_id) = properties.user_id
            && user_id.as_bytes() != user.as_bytes()
        {
            return Err(refused(format!(
                "user_id property set to '{user_id}' but authenticated user was '{user}'"
            )));
        }
        let expiration_ms = match properties.expiration {
            None => None,
            Some(text) => Some(expiration(text.as_bytes()).map_err(|why| refused(format!("invalid expiration '{text}': {why}")))?),
        };
        let copies = match properties.headers {
            Some(headers) if may_have_copies(headers) => copies(headers).map_err(refused)?,
            _ => None,
        };
        let has_copies = copies.is_some();
        self.copies = copies.unwrap_or_default();
        Ok(Checked {
            is_tuple: false,
            persistent: properties.delivery_mode == Some(2),
            priority: properties.priority.unwrap_or(0),
            expiration_ms,
            has_copies,
            wants_reply_name: properties.reply_to.is_some_and(|name| name.as_bytes() == reply_to::QUEUE),
        })
    }
}

/// A time to live in milliseconds. Otherwise what RabbitMQ says is wrong with it.
fn expiration(text: &[u8]) -> Result<u64, String> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        text => (false, text),
    };
    let size = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (digits, leftover) = digits.split_at(size);
    if digits.is_empty() {
        return Err("no_integer".into());
    }
    if !leftover.is_empty() {
        return Err(format!("{{leftover_string,\"{}\"}}", String::from_utf8_lossy(leftover)));
    }
    let number = String::from_utf8_lossy(digits);
    let number = Some(number.trim_start_matches('0')).filter(|rest| !rest.is_empty()).unwrap_or("0");
    match number.parse() {
        Ok(0) => Ok(0),
        _ if is_negative => Err(format!("{{value_negative,-{number}}}")),
        Ok(ms) if ms <= EXPIRATION_MS_MAX => Ok(ms),
        _ => Err(format!("{{value_too_large,{number}}}")),
    }
}

/// A quick look that says no to most messages; those that are let through are looked at field by field.
fn may_have_copies(headers: RawTable<'_>) -> bool {
    headers.bytes().windows(2).any(|pair| pair == b"CC")
}

/// What the headers `CC` and `BCC` say. As in RabbitMQ, what is in the arrays and no string is passed over.
fn copies(headers: RawTable<'_>) -> Result<Option<Copies>, String> {
    let mut copies = Copies::default();
    let mut found = false;
    for name in ["CC", "BCC"] {
        match headers.get(name) {
            None => {}
            Some(Value::Array(keys)) => {
                found = true;
                copies.is_blind |= name == "BCC";
                copies.keys.extend(keys.into_iter().filter_map(|key| match key {
                    Value::LongString(key) => Some(Box::from(&key[..])),
                    _ => None,
                }));
            }
            Some(other) => {
                return Err(format!(
                    "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
                    other.type_name()
                ));
            }
        }
    }
    Ok(found.then_some(copies))
}

/// The payload of the content header frame as others get to see it: without `BCC`, and with the name that answers are to be sent to.
pub(crate) fn rewritten(header: &ContentHeader<'_>, without_bcc: bool, reply_to: Option<&str>) -> Result<Vec<u8>, Exception> {
    let mut properties = Properties::decode(header.properties)?;
    let headers = properties.headers.filter(|_| without_bcc).map(|headers| {
        let mut headers = headers.to_table();
        headers.remove("BCC");
        headers.encoded()
    });
    if let Some(headers) = &headers {
        properties.headers = Some(headers.raw());
    }
    if let Some(name) = reply_to {
        properties.reply_to = Some(ShortStr::truncated(name));
    }
    let mut octets = Vec::with_capacity(header.properties.len() + 64);
    properties.encode(&mut octets);
    let mut out = Vec::with_capacity(12 + octets.len());
    ContentHeader {
        properties: &octets,
        ..*header
    }
    .encode(&mut out);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use stoa_amqp::Table;

    use super::*;

    #[test]
    fn expirations_are_what_rabbitmq_takes_for_numbers() {
        let too_large = Err("{value_too_large,99999999999999999999999}");
        let cases: &[(&str, Result<u64, &str>)] = &[
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("007", Ok(7)),
            ("+60000", Ok(60_000)),
            ("315360000000", Ok(EXPIRATION_MS_MAX)),
            ("315360000001", Err("{value_too_large,315360000001}")),
            ("99999999999999999999999", too_large),
            ("-1", Err("{value_negative,-1}")),
            ("-99999999999999999999999", Err("{value_negative,-99999999999999999999999}")),
            ("", Err("no_integer")),
            ("-", Err("no_integer")),
            (" 5", Err("no_integer")),
            ("soon", Err("no_integer")),
            ("5ms", Err("{leftover_string,\"ms\"}")),
            ("5.5", Err("{leftover_string,\".5\"}")),
        ];
        for (text, expected) in cases {
            assert_eq!(expiration(text.as_bytes()), expected.map_err(str::to_owned), "{text:?}");
        }
    }

    fn encoded(headers: &Table, reply_to: Option<&'static str>) -> Vec<u8> {
        let headers = headers.encoded();
        let mut octets = Vec::new();
        Properties {
            headers: Some(headers.raw()),
            reply_to: reply_to.map(ShortStr::truncated),
            delivery_mode: Some(2),
            ..Properties::default()
        }
        .encode(&mut octets);
        octets
    }

    fn of(properties: &[u8]) -> ContentHeader<'_> {
        ContentHeader {
            class: content::CLASS_BASIC,
            body_size: 3,
            properties,
        }
    }

    fn array(keys: &[&str]) -> Value {
        let text = |key: &&str| Value::LongString((*key).to_owned().into());
        Value::Array(keys.iter().map(text).chain([Value::Bool(true)]).collect())
    }

    #[test]
    fn copies_are_found_checked_and_the_blind_ones_hidden() {
        let mut headers = Table::new();
        headers.insert("kept", Value::Bool(true));
        headers.insert("CC", array(&["a", "b"]));
        headers.insert("BCC", array(&["c"]));
        let octets = encoded(&headers, Some("amq.rabbitmq.reply-to"));
        let mut known = KnownProperties::default();
        let checked = known.check(&of(&octets), "guest").unwrap();
        assert!(checked.has_copies && checked.wants_reply_name && checked.persistent);
        assert_eq!(known.copies.keys, [&b"a"[..], b"b", b"c"].map(Box::from));
        let out = rewritten(&of(&octets), known.copies.is_blind, Some("amq.rabbitmq.reply-to.me")).unwrap();
        let header = ContentHeader::decode(&out).unwrap();
        let properties = Properties::decode(header.properties).unwrap();
        headers.remove("BCC");
        assert_eq!(properties.headers.unwrap().to_table(), headers);
        assert_eq!(properties.reply_to, Some(ShortStr::truncated("amq.rabbitmq.reply-to.me")));
        assert_eq!((header.body_size, properties.delivery_mode), (3, Some(2)));

        headers.insert("CC", Value::Bool(true));
        let wrong = encoded(&headers, None);
        let error = known.check(&of(&wrong), "guest").unwrap_err();
        assert_eq!(error.text, "invalid message: {unacceptable_type_in_header,\"CC\",bool}");
        assert_eq!(known.check(&of(&wrong), "guest").unwrap_err(), error, "a mistake is not remembered");

        let plain = encoded(&Table::new(), None);
        assert!(!known.check(&of(&plain), "guest").unwrap().has_copies);
        assert!(known.copies.keys.is_empty());
    }
}
