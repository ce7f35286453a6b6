//! Queues' contents for administrators: to be looked at without being consumed, and single messages to be removed and moved.
//!
//! A request looks at a bounded number of messages, and its answer is bounded in messages and octets; where there is more, it says where to go on. What
//! is in the store only is read here, not by the shard: a look displaces nothing that consumers need.

mod browse;
mod delayed;
mod filter;
mod holders;
mod moves;
mod remove;

pub use browse::{Browse, MessagePage, MessageView};
pub use filter::Filter;
pub use holders::{HolderView, UnackedPage, UnackedView};
pub use moves::{Destination, Moved, Pick};
pub use remove::Removed;

use std::sync::Arc;

use stoa_core::ids::{ConnectionId, Millis, QueueId, Sequence};
use stoa_core::shard::{ChunkValue, Looked, MessageState, Seen, StoredError, stored};
use stoa_core::topology::{Actor, Queue, RouteError, TopologyError};
use stoa_storage::Family;
use tokio::sync::SemaphorePermit;

use crate::broker::Broker;

/// Why a request about contents is refused.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// There is no such queue, or the user may not.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The destination cannot be published to.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// There is no such message.
    #[error("no message {0}")]
    NoMessage(Sequence),
    /// There is no such exchange, or it holds nothing back.
    #[error("'{0}' is no delayed-message exchange")]
    NotDelayed(String),
    /// The message is somebody's.
    #[error("message {sequence} is {}", state.name())]
    InUse {
        /// The message.
        sequence: Sequence,
        /// Unacked or dead.
        state: MessageState,
        /// Who holds it, if it is unacked and that can be told.
        holder: Option<Box<UnackedView>>,
    },
    /// More is named than one request may.
    #[error("more than {0} messages are named")]
    TooMany(usize),
    /// A part of the queue cannot be read.
    #[error("the chunk of messages from {chunk} to {next} is damaged ({error}): go on from {next}")]
    Damaged {
        /// The first message that cannot be read.
        chunk: Sequence,
        /// The first one behind it that can.
        next: Sequence,
        /// What is wrong.
        error: StoredError,
    },
    /// The store has failed.
    #[error("the store has failed")]
    NotDurable,
}

/// Who asks, and for which virtual host.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The user.
    pub user: &'a str,
    /// The virtual host.
    pub vhost: &'a str,
}

impl Asker<'_> {
    /// Nobody's connection: exclusive queues are locked to it.
    fn actor(&self) -> Actor<'_> {
        Actor {
            vhost: self.vhost,
            user: self.user,
            connection: ConnectionId(0),
        }
    }
}

impl Broker {
    /// Waits for the turn of a request that looks into queues. There is one as long as what is returned is there.
    pub async fn contents_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.contents.acquire().await.ok()
    }

    /// A queue that the user may read from (as `basic.get` asks for it).
    fn readable(&self, asker: Asker<'_>, name: &str) -> Result<Arc<Queue>, ContentsError> {
        let site = self.topology.read();
        let queue = site.topology.queue(&asker.actor(), name.as_bytes())?;
        site.topology.check_read(&asker.actor(), name.as_bytes())?;
        Ok(queue)
    }

    /// The value of a chunk that a look asked for; empty if it is gone by now.
    fn chunk(&self, queue: QueueId, chunk: Sequence) -> Result<Vec<u8>, ContentsError> {
        let value = self.pager.tables().get(Family::Chunks, &stored::chunk_key(queue, chunk));
        let value = value.map_err(|error| {
            tracing::error!(%queue, %chunk, %error, "a chunk cannot be read");
            ContentsError::NotDurable
        })?;
        Ok(value.unwrap_or_default())
    }

    /// Makes looks until `look` says that it is enough, or nothing is left. `look` gets where to begin and the value of a chunk if that is not in
    /// memory. Gives where to go on.
    fn look_on(
        &self,
        queue: QueueId,
        mut from: Option<Sequence>,
        mut look: impl FnMut(Option<Sequence>, Option<ChunkValue<'_>>) -> (Looked, bool),
    ) -> Result<Option<Sequence>, ContentsError> {
        let mut value: Option<(Sequence, Vec<u8>)> = None;
        loop {
            let stored = value.as_ref().map(|(first, octets)| ChunkValue { first: *first, octets });
            match look(from, stored) {
                (Looked::All, _) => return Ok(None),
                (Looked::Upto(next), true) => return Ok(Some(next)),
                (Looked::Upto(next), false) => (from, value) = (Some(next), None),
                (Looked::Stored { chunk }, _) => value = Some((chunk, self.chunk(queue, chunk)?)),
                (Looked::Damaged { chunk, next, error }, _) => return Err(ContentsError::Damaged { chunk, next, error }),
            }
        }
    }
}

/// How much a request has looked at and found.
#[derive(Debug)]
struct Budget {
    messages: usize,
    bytes: usize,
    looked: usize,
}

impl Budget {
    fn new(broker: &Broker, count: usize) -> Self {
        let limits = &broker.config.limits;
        Self {
            messages: count.min(limits.contents_page_max),
            bytes: limits.contents_bytes_max,
            looked: limits.contents_looked_max,
        }
    }

    fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0 || self.looked == 0
    }

    fn looked(&mut self) {
        self.looked = self.looked.saturating_sub(1);
    }

    fn found(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        // The first one is had whatever its size.
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A copy of a message, and where it was.
#[derive(Debug)]
struct Found {
    sequence: Sequence,
    state: MessageState,
    redelivered: bool,
    returns: u32,
    due: Option<Millis>,
    record: Vec<u8>,
}

impl From<Seen<'_>> for Found {
    fn from(seen: Seen<'_>) -> Self {
        Self {
            sequence: seen.sequence,
            state: seen.state,
            redelivered: seen.redelivered,
            returns: seen.returns,
            due: seen.due,
            record: seen.record.bytes().to_vec(),
        }
    }
}
