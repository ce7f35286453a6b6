//! Direct reply-to (a RabbitMQ extension): a requester consumes from the pseudo-queue `amq.rabbitmq.reply-to` and publishes requests that name it;
//! the broker puts a name of the requester's channel in its place, and what is published to that name goes straight to the channel. There is
//! no queue: a reply to a requester that is gone, or that does not read, is dropped.

use stoa_amqp::{ShortString, fast};
use stoa_core::channel::Term;
use stoa_core::ids::{ConnectionId, QueueId, Sequence};

use crate::broker::Broker;
use crate::names;
use crate::outlet::{Flush, OutletState};

/// The name that requesters use.
pub(crate) const QUEUE: &[u8] = b"amq.rabbitmq.reply-to";
/// What the names begin with that are given to responders.
const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// A channel's consumer of replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyConsumer {
    pub(crate) tag: ShortString,
    /// The name that responders publish to. It cannot be guessed.
    pub(crate) name: String,
}

/// A reply on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) envelope: &'a [u8],
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl ReplyConsumer {
    pub(crate) fn new(connection: ConnectionId, channel: u16, tag: ShortString) -> Self {
        let key = names::unguessable();
        Self {
            tag,
            // two parts, the second one padded, as in RabbitMQ: there are clients whose tests look at that
            name: format!("{PREFIX}{connection:x}-{channel:x}.{key}==", connection = connection.0),
        }
    }
}

/// Whether a routing key of the default exchange may be a name that was given to a responder.
pub(crate) fn is_name(routing_key: &[u8]) -> bool {
    routing_key.starts_with(PREFIX.as_bytes())
}

/// The connection and the channel that a name leads to, if it leads anywhere.
fn place(name: &[u8]) -> Option<(ConnectionId, u16)> {
    let rest = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
    let (connection, channel) = rest.split_once('.')?.0.split_once('-')?;
    let connection = u64::from_str_radix(connection, 16).ok()?;
    let channel = u16::from_str_radix(channel, 16).ok()?;
    Some((ConnectionId(connection), channel))
}

impl Broker {
    /// Calls `f` with the locked outlet of the requester that a name belongs to, its channel, and its consumer of replies.
    fn with_requester<R>(&self, name: &[u8], f: impl FnOnce(&mut OutletState, u16, ReplyConsumer) -> R) -> Option<R> {
        let (connection, number) = place(name)?;
        let outlet = self.connections.lock().get(&connection)?.outlet.clone();
        let mut state = outlet.lock();
        if state.is_dead() {
            return None;
        }
        let consumer = state
            .channel(number)?
            .replies
            .clone()
            .filter(|replies| replies.name.as_bytes() == name)?;
        let outcome = f(&mut state, number, consumer);
        if outlet.flush(&mut state) != Flush::Done {
            drop(state);
            outlet.wake.notify_one();
        }
        Some(outcome)
    }

    /// Whether somebody waits for replies by this name; the pseudo-queue itself is always there.
    pub(crate) fn expects_replies(&self, name: &[u8]) -> bool {
        name == QUEUE || self.with_requester(name, |_, _, _| ()).is_some()
    }

    /// Delivers a reply to the requester of this name. False: there is none, or it has too much unread already.
    pub(crate) fn reply_to(&self, name: &[u8], reply: Reply<'_>) -> bool {
        let outbox_bytes_max = self.config.limits.outbox_bytes_max;
        self.with_requester(name, |state, number, consumer| {
            let frame_max = state.frame_max();
            if state.pending() > outbox_bytes_max {
                return false;
            }
            let Some(channel) = state.channel(number) else { return false };
            let tag = channel.unacked.delivered(None, QueueId(0), Sequence(0), 1, true, Term::default());
            let Reply { envelope, header, body } = reply;
            fast::write_deliver(
                state.buffer(),
                number,
                consumer.tag.as_bytes(),
                tag.0,
                false,
                envelope,
                header,
                body,
                frame_max,
            );
            true
        })
        .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_channel() {
        let consumer = ReplyConsumer::new(ConnectionId(0x1_f00d), 2047, "tag".into());
        assert!(is_name(consumer.name.as_bytes()));
        assert_eq!(place(consumer.name.as_bytes()), Some((ConnectionId(0x1_f00d), 2047)));
        assert_ne!(
            consumer,
            ReplyConsumer::new(ConnectionId(0x1_f00d), 2047, "tag".into()),
            "keys differ"
        );
        for wrong in [
            "amq.rabbitmq.reply-to",
            "amq.rabbitmq.reply-to.",
            "amq.rabbitmq.reply-to.1-fffff.x",
            "queue",
        ] {
            assert_eq!(place(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
