//! Sizes, times and sync policies as they are written in the file: `"256MiB"`, `"10s"`, `"always"`.

use std::fmt::{self, Display};
use std::time::Duration;

/// A size or a time that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not {wanted}")]
pub struct UnitError {
    given: String,
    wanted: &'static str,
}

const BYTE_UNITS: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// A size: an integer with a unit (`B kB MB GB TB KiB MiB GiB TiB`) or, without one, of octets.
///
/// # Errors
/// [`UnitError`] if it is something else, or too large.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = if unit.is_empty() {
        Some(1)
    } else {
        BYTE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
    };
    let bytes = number
        .parse()
        .ok()
        .zip(factor)
        .and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
    bytes.ok_or_else(|| UnitError {
        given: text.to_owned(),
        wanted: "a size such as 4096, \"64KiB\" or \"1GB\"",
    })
}

/// A time: an integer with `ms`, `s`, `m` or `h`.
fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok();
    let duration = number.and_then(|number| match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    });
    duration.ok_or_else(|| UnitError {
        given: text.to_owned(),
        wanted: "a time such as \"500ms\", \"10s\", \"5m\" or \"1h\"",
    })
}

/// A size in the largest unit that keeps it exact.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = BYTE_UNITS
            .iter()
            .take(3)
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => self.0.fmt(f),
        }
    }
}

fn duration_text(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// An integer or a text, as TOML has it.
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "an integer, or a text with a unit")]
enum Given {
    Integer(u64),
    Text(String),
}

impl Given {
    fn bytes<E: serde::de::Error>(&self) -> Result<u64, E> {
        match self {
            Self::Integer(bytes) => Ok(*bytes),
            Self::Text(text) => parse_bytes(text).map_err(E::custom),
        }
    }
}

fn narrow<T: TryFrom<u64>, E: serde::de::Error>(value: u64) -> Result<T, E> {
    T::try_from(value).map_err(|_| E::custom(format!("{value} is too large")))
}

pub(super) mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Bytes, Given, narrow};

    pub(crate) fn serialize<T: Copy + TryInto<u64>, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = (*value).try_into().unwrap_or(u64::MAX);
        serializer.collect_str(&Bytes(bytes))
    }

    pub(crate) fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        narrow(Given::deserialize(deserializer)?.bytes()?)
    }
}

/// A size, or `"auto"` for one that follows from other settings.
pub(super) mod auto_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Bytes, Given};

    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.collect_str(&Bytes(*bytes)),
            None => serializer.serialize_str("auto"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Text(text) if text == "auto" => Ok(None),
            given => given.bytes().map(Some),
        }
    }
}

pub(super) mod duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{duration_text, parse_duration};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration_text(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map_err(D::Error::custom)
    }
}

/// `"always"`, `"never"`, or the time within which a commit is synced.
pub(super) mod sync_policy {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use stoa_storage::SyncPolicy;

    use super::{duration_text, parse_duration};

    pub(crate) fn serialize<S: Serializer>(value: &SyncPolicy, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            SyncPolicy::Always => serializer.serialize_str("always"),
            SyncPolicy::Never => serializer.serialize_str("never"),
            SyncPolicy::Interval(interval) => serializer.serialize_str(&duration_text(*interval)),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SyncPolicy, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "always" => Ok(SyncPolicy::Always),
            "never" => Ok(SyncPolicy::Never),
            interval => parse_duration(interval).map(SyncPolicy::Interval).map_err(|_| {
                D::Error::custom(format!(
                    "'{interval}' is neither \"always\" nor \"never\" nor a time such as \"200ms\""
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64KiB", Some(65_536)),
            ("64 KiB", Some(65_536)),
            ("1GB", Some(1_000_000_000)),
            ("16TiB", Some(16 << 40)),
            ("", None),
            ("KiB", None),
            ("-1", None),
            ("1.5GB", None),
            ("1 gb", None),
            ("99999999999999999999", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(parse_bytes(text).ok(), bytes, "{text}");
        }
        for text in ["0", "1000", "64KiB", "192MiB", "3GiB", "1025"] {
            assert_eq!(parse_bytes(text).map(|bytes| Bytes(bytes).to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn times() {
        for (text, ms) in [
            ("5ms", Some(5)),
            ("10s", Some(10_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("10", None),
            ("s", None),
            ("1d", None),
        ] {
            assert_eq!(parse_duration(text).ok(), ms.map(Duration::from_millis), "{text}");
        }
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
    }
}
