//! `basic.qos`: how many deliveries a consumer may hold, and all consumers of a channel together.
//!
//! As in RabbitMQ, `global` means the channel: without it the number holds for each consumer that comes later, with it for all of the channel's
//! consumers, those that are there included. Both hold at once; 0 is no limit. What `basic.get` took, and what needs no acknowledgement, does not count.

use std::sync::Arc;

use stoa_amqp::{Method, ReplyCode, basic};
use stoa_core::shard::Command;

use super::error::Exception;
use super::session::{Open, Outcome};
use crate::broker::Broker;
use crate::outlet::ChannelMode;
use crate::shards::Job;

impl Open {
    /// `basic.qos`: what each new consumer may hold, or all of the channel together.
    pub(super) fn qos(&mut self, broker: &Arc<Broker>, number: u16, qos: &basic::Qos, cause: (u16, u16)) -> Outcome {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(Exception::connection(ReplyCode::NotImplemented, cause, text));
        }
        if qos.global {
            self.limit(broker, number, (qos.prefetch_count > 0).then_some(qos.prefetch_count));
        } else if let Some(channel) = self.channels.get_mut(&number) {
            channel.prefetch = qos.prefetch_count;
            self.note_mode(number, |mode| mode.prefetch = qos.prefetch_count);
        }
        self.reply(number, &Method::BasicQosOk(basic::QosOk {}));
        Ok(None)
    }

    /// Something of a channel is another way now, for those who look at it from outside.
    pub(super) fn note_mode(&self, number: u16, change: impl FnOnce(&mut ChannelMode)) {
        if let Some(out) = self.outlet.lock().channel(number) {
            change(&mut out.mode);
        }
    }

    /// Limits how many deliveries all consumers of a channel hold together, those that are there included.
    fn limit(&mut self, broker: &Arc<Broker>, number: u16, limit: Option<u16>) {
        self.limits |= limit.is_some();
        let mut state = self.outlet.lock();
        let Some(out) = state.channel(number) else { return };
        let before = std::mem::replace(&mut out.limit, limit);
        let mut shards: Vec<_> = out.consumers.values().map(|consumer| broker.shard_index(consumer.queue)).collect();
        drop(state);
        if before.is_some() == limit.is_some() {
            return;
        }
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            let cell = &broker.shards[shard];
            cell.look(broker, |running| running.shard.limit(self.id, number, limit.is_some()));
            cell.run_soon(broker);
        }
    }

    /// Channels that have credit again tell the shards that they refused.
    pub(crate) fn lend(&self, broker: &Arc<Broker>) {
        if !self.limits {
            return;
        }
        let lendings = self.outlet.lock().take_lendings();
        let outlet = self.id;
        for (channel, shard) in lendings {
            let ops = &[Command::Lend { outlet, channel }.into()];
            broker.shards[shard].submit(
                broker,
                Job {
                    ops,
                    arena: &[],
                    receipt: None,
                },
            );
        }
    }
}
