//! What a channel is given of the shards' messages, how much of that it may hold, and for how long.

use std::sync::atomic::{AtomicU64, Ordering};

use stoa_amqp::content::{self, Change};
use stoa_amqp::{ReplyCode, ShortStr, ShortString, Value, fast};
use stoa_core::channel::Unacked;
use stoa_core::ids::{Millis, QueueId};
use stoa_core::shard::{Delivery, Got};

use super::{ChannelOut, OutletState, Refused};
use crate::bodies::Bodies;

impl ChannelOut {
    /// How many deliveries its consumers may still take, together.
    fn credit(&self) -> u64 {
        self.limit
            .map_or(u64::MAX, |limit| u64::from(limit).saturating_sub(self.unacked.held()))
    }

    /// Gives a shard credit for at most so many messages, which it delivers before the outlet is unlocked. A shard that gets none is told when
    /// there is some: whoever frees credit does so under the same lock, and finds the shard in the list. One that is served before it was told
    /// stays there, because the one that was refused may be another of its consumers.
    ///
    /// What needs no acknowledgement (`no_ack`) takes no credit, but waits while there is none (RabbitMQ).
    fn lend(&mut self, shard: usize, wanted: u32, no_ack: bool) -> u32 {
        let granted = match self.credit() {
            0 => 0,
            _ if no_ack => wanted,
            credit => u32::try_from(credit).unwrap_or(u32::MAX).min(wanted),
        };
        let place = self.refused.iter().position(|refused| refused.shard == shard);
        match place {
            Some(place) if granted == 0 => self.refused[place].told = false,
            Some(place) if self.refused[place].told => drop(self.refused.remove(place)),
            None if granted == 0 => self.refused.push(Refused { shard, told: false }),
            _ => {}
        }
        granted
    }
}

impl OutletState {
    /// Appends a run of deliveries. False: the channel is gone, the messages must go back.
    pub(crate) fn deliver(&mut self, delivery: &Delivery<'_>, bodies: &Bodies) -> bool {
        let consumer = delivery.consumer;
        let frame_max = self.frame_max;
        if self.dead {
            return false;
        }
        self.buffer();
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return false;
        };
        let count = delivery.records.count;
        channel.traffic.deliver(count, consumer.no_ack, delivery.redelivered);
        let first_tag = channel
            .unacked
            .delivered(
                Some(consumer.id),
                delivery.queue,
                delivery.first,
                count,
                consumer.no_ack,
                delivery.term,
            )
            .0;
        note_overdue(&self.overdue_from, &channel.unacked);
        let mut counted = Vec::new();
        for (tag, record) in (first_tag..).zip(delivery.records.iter()) {
            let apart;
            let body = match record.body_ref() {
                None => record.body(),
                Some(reference) => match bodies.get(reference.id) {
                    Some(octets) => {
                        apart = octets;
                        &apart
                    }
                    None => {
                        // It stays unacknowledged: nothing is skipped in silence.
                        tracing::error!(queue = %delivery.queue, body = %reference.id, "the body of a message is missing: it is not delivered");
                        continue;
                    }
                },
            };
            if !fits(record.header(), frame_max) {
                // It stays unacknowledged, and comes back with the end of the connection.
                self.close
                    .get_or_insert_with(|| does_not_fit(delivery.queue, record.header(), frame_max));
                continue;
            }
            fast::write_deliver(
                &mut self.buffer,
                consumer.channel,
                consumer.tag.as_bytes(),
                tag,
                delivery.redelivered,
                record.envelope(),
                header_with_returns(record.header(), delivery.returns, frame_max, &mut counted),
                body,
                frame_max,
            );
        }
        true
    }

    /// Hands out a message for `basic.get`.
    pub(crate) fn got(&mut self, number: u16, queue: QueueId, no_ack: bool, got: &Got<'_>, bodies: &Bodies) {
        let frame_max = self.frame_max;
        self.buffer();
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.traffic.get(no_ack, got.redelivered);
        let tag = channel.unacked.delivered(None, queue, got.sequence, 1, no_ack, got.term);
        note_overdue(&self.overdue_from, &channel.unacked);
        let (record, remaining) = (got.record, got.remaining.min(u64::from(u32::MAX)) as u32);
        if !fits(record.header(), frame_max) {
            self.close.get_or_insert_with(|| does_not_fit(queue, record.header(), frame_max));
            return;
        }
        let apart = record.body_ref().map(|reference| bodies.get(reference.id).unwrap_or_default());
        let mut counted = Vec::new();
        fast::write_get_ok(
            &mut self.buffer,
            number,
            tag.0,
            got.redelivered,
            record.envelope(),
            remaining,
            header_with_returns(record.header(), got.returns, frame_max, &mut counted),
            apart.as_deref().unwrap_or(record.body()),
            frame_max,
        );
    }

    /// How many of the messages that a shard has for a consumer may be delivered next, by the limit of the consumer's channel.
    pub(crate) fn lend(&mut self, number: u16, shard: usize, wanted: u32, no_ack: bool) -> u32 {
        match self.channels.get_mut(&number) {
            Some(channel) if !self.dead => channel.lend(shard, wanted, no_ack),
            // Its consumers are about to end.
            _ => 0,
        }
    }

    /// The shards that were refused credit for a channel that has some now, and have not been told: channel and shard.
    pub(crate) fn take_lendings(&mut self) -> Vec<(u16, usize)> {
        let mut lendings = Vec::new();
        for (&number, channel) in &mut self.channels {
            if !channel.refused.is_empty() && channel.credit() > 0 {
                for refused in channel.refused.iter_mut().filter(|refused| !refused.told) {
                    refused.told = true;
                    lendings.push((number, refused.shard));
                }
            }
        }
        lendings
    }

    /// The channels with deliveries that have been held for too long, each with the timeout in milliseconds.
    pub(crate) fn overdue(&mut self, now: Millis) -> Vec<(u16, u64)> {
        let mut overdue = Vec::new();
        self.overdue_from.store(u64::MAX, Ordering::Relaxed);
        for (&number, channel) in &mut self.channels {
            overdue.extend(channel.unacked.overdue(now).map(|timeout_ms| (number, timeout_ms)));
            note_overdue(&self.overdue_from, &channel.unacked);
        }
        overdue
    }

    /// The queue of a consumer is gone: forgets the consumer and tells the client, if it wants to know.
    pub(crate) fn cancelled(&mut self, channel: u16, tag: &ShortString) {
        let known = self
            .channel(channel)
            .is_some_and(|channel| channel.consumers.remove(tag.as_bytes()).is_some());
        if known && self.cancel_notify && !self.dead {
            let cancel = stoa_amqp::basic::Cancel {
                consumer_tag: tag.as_short(),
                no_wait: true,
            };
            let cancel = stoa_amqp::Method::BasicCancel(cancel);
            match &mut self.postponed {
                Some(postponed) => cancel.write_frame(channel, postponed),
                None => cancel.write_frame(channel, self.buffer()),
            }
        }
    }

    /// From here on the client is not told of cancellations, until [`Self::tell_cancelled`].
    pub(crate) fn postpone_cancelled(&mut self) {
        self.postponed = Some(Vec::new());
    }

    /// Tells the client of the cancellations that were postponed, after all replies before.
    pub(crate) fn tell_cancelled(&mut self) {
        if let Some(postponed) = self.postponed.take()
            && !postponed.is_empty()
        {
            self.reply_buffer().extend_from_slice(&postponed);
        }
    }
}

/// To be called under the outlet's lock.
fn note_overdue(overdue_from: &AtomicU64, unacked: &Unacked) {
    let from = unacked.overdue_from().0;
    if from < overdue_from.load(Ordering::Relaxed) {
        overdue_from.store(from, Ordering::Relaxed);
    }
}

/// Whether a content header goes into a frame of the size that was negotiated: it cannot be split (AMQP 0-9-1, section 4.2.6.1).
fn fits(header: &[u8], frame_max: u32) -> bool {
    frame_max == 0 || header.len() + FRAME_OVERHEAD <= frame_max as usize
}

/// What a frame has beside its payload.
const FRAME_OVERHEAD: usize = 8;

/// The message came over a connection with larger frames, or has died too often. RabbitMQ sends a frame that is too large, and the client closes.
fn does_not_fit(queue: QueueId, header: &[u8], frame_max: u32) -> (ReplyCode, String) {
    let text = format!(
        "a message has a content header of {} octets, which does not fit into the negotiated frame_max of {frame_max}",
        header.len()
    );
    tracing::warn!(%queue, "{text}");
    (ReplyCode::FrameError, text)
}

/// The content header that tells how often a message came back (RabbitMQ: `x-delivery-count`), if it did.
fn header_with_returns<'a>(header: &'a [u8], returns: u32, frame_max: u32, out: &'a mut Vec<u8>) -> &'a [u8] {
    const DELIVERY_COUNT: ShortStr<'static> = ShortStr::literal("x-delivery-count");
    if returns == 0 {
        return header;
    }
    out.clear();
    match content::edit(header, &[Change::Set(DELIVERY_COUNT, &Value::I64(returns.into()))], out) {
        // The count is left out where there is no room for it.
        Ok(()) if !fits(out, frame_max) => header,
        Ok(()) => out,
        // What was published had a sound header; what is not sound goes out as it came.
        Err(_) => header,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use stoa_amqp::RawTable;
    use stoa_amqp::content::{ContentHeader, Properties};
    use stoa_core::channel::Term;
    use stoa_core::ids::{ConsumerId, DeliveryTag, Sequence};

    fn deliver(channel: &mut ChannelOut, count: u32) {
        let consumer = Some(ConsumerId(1));
        channel
            .unacked
            .delivered(consumer, QueueId(1), Sequence(0), count, false, Term::default());
    }

    #[test]
    fn a_channel_lends_up_to_its_limit_and_remembers_whom_it_refused() {
        let mut state = OutletState::default();
        state.open_channel(1, Arc::default());
        assert_eq!(
            (state.lend(1, 0, 7, false), state.lend(2, 0, 7, false)),
            (7, 0),
            "no limit, and no channel"
        );
        let channel = state.channel(1).unwrap();
        channel.limit = Some(5);
        deliver(channel, 3);
        assert_eq!((channel.lend(0, 7, false), channel.lend(1, 1, false)), (2, 1));
        assert_eq!(channel.lend(0, 7, true), 7, "it takes no credit");
        deliver(channel, 2);
        assert_eq!(
            (channel.lend(1, 7, false), channel.lend(0, 1, false), channel.lend(1, 1, false)),
            (0, 0, 0)
        );
        assert_eq!(state.take_lendings(), []);
        let settled = &mut Vec::new();
        state.channel(1).unwrap().unacked.settle(DeliveryTag(2), false, settled).unwrap();
        assert_eq!(state.take_lendings(), [(1, 1), (1, 0)], "who was refused first is first");
        assert_eq!(state.take_lendings(), []);
        let channel = state.channel(1).unwrap();
        assert_eq!(channel.lend(1, 7, false), 1);
        deliver(channel, 1);
        assert_eq!((channel.lend(1, 7, false), channel.lend(0, 7, false)), (0, 0));
        state.channel(1).unwrap().limit = Some(6);
        assert_eq!(
            state.take_lendings(),
            [(1, 0), (1, 1)],
            "who was given something is behind who was not"
        );
        state.channel(1).unwrap().limit = Some(5);
        assert_eq!(state.channel(1).unwrap().lend(1, 7, false), 0);
        state.channel(1).unwrap().limit = None;
        assert_eq!(state.take_lendings(), [(1, 1)], "the other one has been told");
        state.channel(1).unwrap().limit = Some(5);
        assert_eq!(state.channel(1).unwrap().lend(1, 1, false), 0);
        state.channel(1).unwrap().limit = Some(6);
        assert_eq!(state.channel(1).unwrap().lend(1, 1, false), 1);
        assert_eq!(
            state.take_lendings(),
            [(1, 1)],
            "its other consumer, which was refused, has heard nothing yet"
        );
        state.die();
        assert_eq!(state.lend(1, 0, 1, false), 0, "nothing is delivered any more");
    }

    #[test]
    fn the_earliest_deadline_is_known_without_the_lock() {
        let mut state = OutletState::default();
        state.open_channel(3, Arc::default());
        for (since, timeout_ms) in [(1000, 50_000), (2000, 3000)] {
            let since = Millis(since);
            let unacked = &mut state.channel(3).unwrap().unacked;
            unacked.delivered(None, QueueId(1), Sequence(since.0), 1, false, Term { since, timeout_ms });
        }
        assert_eq!(state.overdue(Millis(5999)), []);
        assert_eq!(state.overdue_from.load(Ordering::Relaxed), 6000);
        assert_eq!(state.overdue(Millis(6000)), [(3, 3000)]);
        assert_eq!(
            state.overdue_from.load(Ordering::Relaxed),
            6000,
            "it is told again until the channel is gone"
        );
        state.close_channel(3);
        assert_eq!(state.overdue(Millis(6000)), []);
        assert_eq!(state.overdue_from.load(Ordering::Relaxed), u64::MAX);
    }

    #[test]
    fn what_came_back_says_how_often() {
        let mut list = Vec::new();
        let type_of = ShortStr::literal("text/plain");
        let properties = Properties {
            content_type: Some(type_of),
            ..Properties::default()
        };
        properties.encode(&mut list);
        let mut header = Vec::new();
        let (class, body_size) = (content::CLASS_BASIC, 3);
        ContentHeader {
            class,
            body_size,
            properties: &list,
        }
        .encode(&mut header);
        let mut out = Vec::new();
        assert_eq!(header_with_returns(&header, 0, 4096, &mut out), header);
        for returns in [1, 7] {
            let counted = header_with_returns(&header, returns, 4096, &mut out);
            let counted = Properties::decode(ContentHeader::decode(counted).unwrap().properties).unwrap();
            let count = counted.headers.and_then(|headers: RawTable<'_>| headers.get("x-delivery-count"));
            assert_eq!((counted.content_type, count), (Some(type_of), Some(Value::I64(returns.into()))));
        }
        assert_eq!(
            header_with_returns(&header, 1, header.len() as u32 + 8, &mut out),
            header,
            "there is no room for a count"
        );
        assert_eq!(header_with_returns(b"no header", 1, 0, &mut out), b"no header");
    }
}
