//! What a delayed-message exchange holds back: to be looked at, removed, or let go at another time.

use std::sync::Arc;

use stoa_core::ids::{QueueId, Sequence};
use stoa_core::record::{Head, Record, Records, flags};

use super::{Asker, Browse, ContentsError, MessagePage};
use crate::broker::Broker;

impl Broker {
    /// The queue of a delayed-message exchange: its id and whether it is durable. `change`: the user must be allowed to publish to the exchange; otherwise
    /// to read from it.
    fn holding(&self, asker: Asker<'_>, name: &str, change: bool) -> Result<(QueueId, bool), ContentsError> {
        let site = self.topology.read();
        let topology = &site.topology;
        if change {
            topology.check_write(&asker.actor(), name.as_bytes())?;
        } else {
            topology.check_source(&asker.actor(), name.as_bytes())?;
        }
        let exchange = topology.exchange(asker.vhost, name.as_bytes());
        let holding = exchange.and_then(|exchange| exchange.own.delays.map(|queue| (queue, exchange.durable)));
        holding.ok_or_else(|| ContentsError::NotDelayed(name.to_owned()))
    }

    /// Looks at the messages that a delayed-message exchange holds back, in no particular order; each says when it is due.
    ///
    /// # Errors
    /// If there is no such exchange, the user may not read from it, or a part of the store is damaged.
    pub fn delayed(self: &Arc<Self>, asker: Asker<'_>, exchange: &str, browse: &Browse) -> Result<MessagePage, ContentsError> {
        let (queue, _) = self.holding(asker, exchange, false)?;
        self.page(queue, browse)
    }

    /// Removes a message that a delayed-message exchange holds back.
    ///
    /// # Errors
    /// If there is no such exchange or message, the user may not write to the exchange, or the store has failed.
    pub async fn remove_delayed(self: &Arc<Self>, asker: Asker<'_>, exchange: &str, sequence: Sequence) -> Result<(), ContentsError> {
        let (queue, durable) = self.holding(asker, exchange, true)?;
        self.remove_one(queue, sequence)?;
        self.made_durable(durable).await
    }

    /// Says for how long from now on a delayed-message exchange holds a message back. The message has another name afterwards: returns that. Its header `x-delay`
    /// stays as it is. To be followed by [`contents_durable`](Self::contents_durable).
    ///
    /// # Errors
    /// If there is no such exchange or message, the user may not write to the exchange, or the store has failed.
    pub fn hold_for(
        self: &Arc<Self>,
        asker: Asker<'_>,
        exchange: &str,
        sequence: Sequence,
        delay_ms: u64,
    ) -> Result<Sequence, ContentsError> {
        let (queue, _) = self.holding(asker, exchange, true)?;
        let found = self.find(queue, sequence)?;
        let record = found.as_ref().and_then(|found| Record::first_of(&found.record));
        let record = record.ok_or(ContentsError::NoMessage(sequence))?;
        let head = Head {
            flags: record.flags() & (flags::PERSISTENT | flags::APART),
            priority: record.priority(),
            due: Some(self.in_ms(delay_ms)),
            envelope: record.envelope(),
            header: record.header(),
        };
        let mut bytes = Vec::with_capacity(record.bytes().len());
        head.push(&mut bytes, record.body());
        let records = Records { bytes: &bytes, count: 1 };
        // The new record and the end of the old one are in one commit, and no part of that is in the tables before it.
        let _whole = self.commits.transaction();
        let next = self.with_shard(queue, |shard, effects| {
            shard.replace(queue, sequence, records, effects, |body| self.bodies.retain(body, 1, false))
        });
        next.ok_or(ContentsError::NoMessage(sequence))
    }
}
