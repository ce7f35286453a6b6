//! What the broker writes into messages as they come in (RabbitMQ 3.12, `message_interceptors`).

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Interceptors, by RabbitMQ's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interceptors {
    /// Of messages that clients publish.
    pub incoming: Incoming,
}

/// Interceptors of messages that clients publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Incoming {
    /// The time: the property `timestamp` in seconds, and the header `timestamp_in_ms`.
    pub set_header_timestamp: SetHeader,
    /// The broker's node name, in the header `x-routed-by`.
    pub set_header_routing_node: SetHeader,
}

impl Incoming {
    /// Whether any message is rewritten.
    pub(crate) fn is_on(&self) -> bool {
        self.set_header_timestamp.overwrite != Overwrite::Off || self.set_header_routing_node.overwrite != Overwrite::Off
    }
}

/// Whether something is written into messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetHeader {
    /// See [`Overwrite`].
    pub overwrite: Overwrite,
}

/// Whether something is written into messages that have it already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing is written at all.
    #[default]
    Off,
    /// What is there stays.
    No,
    /// What is there is replaced.
    Yes,
}

impl Serialize for Overwrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::No => serializer.serialize_bool(false),
            Self::Yes => serializer.serialize_bool(true),
        }
    }
}

impl<'de> Deserialize<'de> for Overwrite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Flag(bool),
            Text(String),
        }
        match Given::deserialize(deserializer)? {
            Given::Flag(true) => Ok(Self::Yes),
            Given::Flag(false) => Ok(Self::No),
            Given::Text(text) if text == "off" => Ok(Self::Off),
            Given::Text(text) => Err(D::Error::custom(format!("'{text}' is not true, false or \"off\""))),
        }
    }
}
