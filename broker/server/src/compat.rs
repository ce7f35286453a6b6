//! Whom clients take the broker for: what `connection.start` says of product and version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the broker calls itself in the server properties. Clients should look at `capabilities` alone, which are the same either way; some do not:
///
/// - kombu takes every other product for one whose `basic.qos` without `global` covers the channel, as the specification has it; Celery's prefetch would then count
///   for each queue of a worker, not for the worker;
/// - NServiceBus reads `version` as RabbitMQ's and refuses to run below 3.10; other libraries and the suites of Java's and Python's clients parse it and skip features below some 3.x;
/// - clients of amqp091-go, pika, php-amqplib, Bunny, amqplib, lapin, amqprs and the .NET client show both, and decide nothing by them.
///
/// So RabbitMQ's name and version are the default; `platform` and `information` tell the truth in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// Product `RabbitMQ`, version [`RABBITMQ_VERSION`].
    #[default]
    RabbitMq,
    /// Product `Stoa` and its own version.
    Stoa,
}

/// The last release of RabbitMQ's series 3: clients that ask for a least version find all that they know of, and what version 4 took away (global prefetch,
/// transient shared queues, frames below 8 KiB) is here.
pub const RABBITMQ_VERSION: &str = "3.13.7";

impl Compat {
    /// The property `product`.
    #[must_use]
    pub fn product(self) -> &'static str {
        match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Stoa => "Stoa",
        }
    }

    /// The property `version`.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::RabbitMq => RABBITMQ_VERSION,
            Self::Stoa => env!("CARGO_PKG_VERSION"),
        }
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "rabbitmq",
            Self::Stoa => "stoa",
        })
    }
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::RabbitMq, Self::Stoa]
            .into_iter()
            .find(|compat| compat.to_string() == name)
            .ok_or_else(|| format!("'{name}' is neither 'rabbitmq' nor 'stoa'"))
    }
}
