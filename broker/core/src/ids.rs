//! The names that the parts of the broker give to things, as types that cannot be mistaken for each other.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A queue, from its declaration to its deletion. Never used again, not even after a restart.
    QueueId
);
id!(
    /// A client's connection, while the broker runs.
    ConnectionId
);
id!(
    /// A consumer on a channel, while the broker runs.
    ConsumerId
);
id!(
    /// The position of a message in its queue: 0, 1, 2 ... in the order of arrival, never used again.
    Sequence
);
id!(
    /// The number by which a client settles a delivery on its channel: 1, 2, 3 ... (AMQP 0-9-1, `delivery-tag`).
    DeliveryTag
);
id!(
    /// A large body, which is kept apart from the records that refer to it. Used again only when nothing refers to it any more.
    BodyId
);
id!(
    /// A point in time: milliseconds since 1970, as the caller's clock says. 0: never, where that makes sense.
    Millis
);
id!(
    /// A group commit. What was applied to a shard while an epoch was open is durable once that epoch is.
    Epoch
);

impl Epoch {
    /// One that is never durable.
    pub const NEVER: Self = Self(u64::MAX);
}

impl Sequence {
    /// The position `n` places further on.
    #[must_use]
    pub fn plus(self, n: u64) -> Self {
        Self(self.0 + n)
    }
}

/// Where deliveries go out: a connection, seen from a shard.
pub type OutletId = ConnectionId;
