//! Who holds which message of a queue, and since when.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use stoa_amqp::ShortString;
use stoa_core::channel::HeldRun;
use stoa_core::ids::{ConnectionId, ConsumerId, DeliveryTag, Millis, QueueId, Sequence};

use super::{Asker, ContentsError};
use crate::broker::Broker;
use crate::connection::Presence;
use crate::outlet::ChannelOut;
use crate::transport::Peer;

/// Where an unacknowledged message is.
#[derive(Clone, Debug)]
pub struct HolderView {
    /// The connection.
    pub connection: ConnectionId,
    /// Its client's address.
    pub peer: Peer,
    /// The broker's own end of it; none over a Unix socket.
    pub local: Option<SocketAddr>,
    /// The user it logged in as.
    pub user: String,
    /// The channel.
    pub channel: u16,
    /// The consumer; absent for `basic.get`, and for a consumer that is gone and has left its deliveries to the channel.
    pub consumer_tag: Option<ShortString>,
}

/// An unacknowledged message.
#[derive(Clone, Debug)]
pub struct UnackedView {
    /// Its position in the queue.
    pub sequence: Sequence,
    /// The tag that it was delivered with.
    pub delivery_tag: DeliveryTag,
    /// When it was delivered, to a second: it may have been up to a second later.
    pub since: Millis,
    /// Who holds it.
    pub holder: HolderView,
}

/// Unacknowledged messages of a queue.
#[derive(Clone, Debug, Default)]
pub struct UnackedPage {
    /// The oldest first.
    pub messages: Vec<UnackedView>,
    /// Where to go on; absent: that was all.
    pub next: Option<(Millis, Sequence)>,
    /// The time now, to tell ages by.
    pub now: Millis,
}

impl Broker {
    /// The unacknowledged messages of a queue from this one on, the oldest first, `limits.contents_page_max` at most. What an open transaction has settled is
    /// not among them, though it counts as unacknowledged until the commit.
    ///
    /// # Errors
    /// If there is no such queue, or the user may not read from it.
    pub fn unacked(
        self: &Arc<Self>,
        asker: Asker<'_>,
        queue: &str,
        from: Option<(Millis, Sequence)>,
        count: usize,
    ) -> Result<UnackedPage, ContentsError> {
        let queue = self.readable(asker, queue)?.id;
        let mut oldest = Oldest::new(from, count.min(self.config.limits.contents_page_max).max(1));
        if self.counts(queue).unacked > 0 {
            self.each_held(queue, |run, holder| oldest.take(run, holder));
        }
        let now = self.timers.clock.now();
        let (messages, next) = oldest.finish();
        Ok(UnackedPage { messages, next, now })
    }

    /// The message that has been held for the longest in the virtual hosts that `sees` lets through, its queue, and the time now. Looked up by channel: what
    /// one was delivered first, it holds the longest.
    #[must_use]
    pub fn longest_held(&self, sees: impl Fn(&str) -> bool) -> Option<(QueueId, UnackedView, Millis)> {
        let mut longest: Option<(QueueId, UnackedView)> = None;
        for (connection, presence) in self.presences() {
            let (user, is_seen) = {
                let identity = presence.identity.lock();
                (identity.user.clone(), sees(&identity.vhost))
            };
            if !is_seen {
                continue;
            }
            let mut state = presence.outlet.lock();
            for channel in state.channel_numbers() {
                let Some(out) = state.channel(channel) else { continue };
                let Some(run) = out.unacked.runs().next() else { continue };
                if longest.as_ref().is_some_and(|(_, other)| other.since <= run.since) {
                    continue;
                }
                let holder = HolderView {
                    connection,
                    peer: presence.peer,
                    local: presence.local,
                    user: user.clone(),
                    channel,
                    consumer_tag: run.what.consumer.and_then(|consumer| tags_of(out).get(&consumer).cloned()),
                };
                longest = Some((run.what.queue, view(&run, run.what.first, holder)));
            }
        }
        longest.map(|(queue, message)| (queue, message, self.timers.clock.now()))
    }

    fn presences(&self) -> Vec<(ConnectionId, Arc<Presence>)> {
        let connections = self.connections.lock();
        connections.iter().map(|(id, presence)| (*id, presence.clone())).collect()
    }

    /// Who holds a message.
    pub(super) fn holder_of(&self, queue: QueueId, sequence: Sequence) -> Option<UnackedView> {
        let mut found = None;
        self.each_held(queue, |run, holder| {
            let what = &run.what;
            if what.first <= sequence && sequence < what.first.plus(what.count.into()) {
                found = Some(view(run, sequence, holder()));
            }
        });
        found
    }

    /// Calls `f` with each run of a queue's messages that a channel holds, and with a way to tell who that is.
    fn each_held(&self, queue: QueueId, mut f: impl FnMut(&HeldRun, &dyn Fn() -> HolderView)) {
        for (connection, presence) in self.presences() {
            let user = presence.identity.lock().user.clone();
            let mut state = presence.outlet.lock();
            for channel in state.channel_numbers() {
                let Some(out) = state.channel(channel) else { continue };
                let mut tags = None;
                for run in out.unacked.runs().filter(|run| run.what.queue == queue) {
                    let tags = &*tags.get_or_insert_with(|| tags_of(out));
                    f(&run, &|| HolderView {
                        connection,
                        peer: presence.peer,
                        local: presence.local,
                        user: user.clone(),
                        channel,
                        consumer_tag: run.what.consumer.and_then(|consumer| tags.get(&consumer).cloned()),
                    });
                }
            }
        }
    }
}

fn tags_of(out: &ChannelOut) -> HashMap<ConsumerId, ShortString> {
    out.consumers.iter().map(|(tag, consumer)| (consumer.id, tag.clone())).collect()
}

fn view(run: &HeldRun, sequence: Sequence, holder: HolderView) -> UnackedView {
    UnackedView {
        sequence,
        delivery_tag: DeliveryTag(run.tag.0 + (sequence.0 - run.what.first.0)),
        since: run.since,
        holder,
    }
}

/// The oldest messages of those that it was given.
struct Oldest {
    from: (Millis, Sequence),
    count: usize,
    kept: Vec<UnackedView>,
    /// Later ones than this are not wanted any more.
    last: (Millis, Sequence),
}

fn age(view: &UnackedView) -> (Millis, Sequence) {
    (view.since, view.sequence)
}

impl Oldest {
    fn new(from: Option<(Millis, Sequence)>, count: usize) -> Self {
        Self {
            from: from.unwrap_or_default(),
            count,
            kept: Vec::new(),
            last: (Millis(u64::MAX), Sequence(u64::MAX)),
        }
    }

    fn take(&mut self, run: &HeldRun, holder: &dyn Fn() -> HolderView) {
        let end = run.what.first.plus(run.what.count.into());
        let first = match run.since.cmp(&self.from.0) {
            Ordering::Less => return,
            Ordering::Equal => run.what.first.max(self.from.1),
            Ordering::Greater => run.what.first,
        };
        if first >= end || (run.since, first) > self.last {
            return;
        }
        let holder = holder();
        // One more than is wanted says where to go on.
        let upto = end.min(first.plus(self.count as u64 + 1));
        let messages = (first.0..upto.0).map(|sequence| view(run, Sequence(sequence), holder.clone()));
        self.kept.extend(messages);
        if self.kept.len() > 4 * (self.count + 1) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.kept.sort_by_key(age);
        self.kept.truncate(self.count + 1);
        if self.kept.len() > self.count {
            self.last = self.kept.last().map_or(self.last, age);
        }
    }

    fn finish(mut self) -> (Vec<UnackedView>, Option<(Millis, Sequence)>) {
        self.shrink();
        let next = self.kept.get(self.count).map(age);
        self.kept.truncate(self.count);
        (self.kept, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_core::channel::Settled;

    fn run(since: u64, first: u64, count: u32) -> HeldRun {
        HeldRun {
            tag: DeliveryTag(first + 1),
            since: Millis(since),
            what: Settled {
                queue: QueueId(1),
                consumer: None,
                first: Sequence(first),
                count,
            },
        }
    }

    #[test]
    fn the_oldest_come_first_page_by_page() {
        let runs = [run(30, 100, 3), run(10, 200, 50), run(20, 0, 1), run(10, 7, 2), run(40, 300, 1000)];
        let mut expected: Vec<(u64, u64)> = Vec::new();
        for run in &runs {
            expected.extend((run.what.first.0..run.what.first.0 + u64::from(run.what.count)).map(|sequence| (run.since.0, sequence)));
        }
        expected.sort_unstable();
        for count in [1, 3, 7, 55, 5000] {
            let (mut seen, mut from) = (Vec::new(), None);
            loop {
                let mut oldest = Oldest::new(from, count);
                let holder = || HolderView {
                    connection: ConnectionId(1),
                    peer: Peer::Unix,
                    local: None,
                    user: String::new(),
                    channel: 1,
                    consumer_tag: None,
                };
                runs.iter().for_each(|run| oldest.take(run, &holder));
                let (page, next) = oldest.finish();
                assert!(page.len() <= count);
                assert!(page.iter().all(|view| view.delivery_tag.0 == view.sequence.0 + 1));
                seen.extend(page.iter().map(|view| (view.since.0, view.sequence.0)));
                from = next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{count} at a time");
        }
    }
}
