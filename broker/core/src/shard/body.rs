//! What a chunk has in memory: its value, and bits for its records. Which records those are, the chunk knows.

use std::mem::size_of;
use std::sync::Arc;

use crate::shard::apart::Apart;
use crate::shard::bits::Bits;
use crate::shard::keys::ChunkKeys;
use crate::shard::stored::CHUNK_HEADER;

/// What a chunk needs beyond its numbers while it is in memory or partly settled, or refers to bodies apart.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) value: Value,
    pub(crate) settled: Bits,
    pub(crate) transient: Bits,
    /// A record whose place is known, and its offset in the value: where the next delivery will probably start.
    pub(crate) known: (u16, u32),
    /// The offset of the first record that was not collected.
    pub(crate) uncollected_at: u32,
    /// Absent where no record's body lies apart.
    pub(crate) apart: Option<Box<Apart>>,
    /// Absent where the queue does not tell messages apart, or did not when the chunk left memory.
    pub(crate) keys: Option<Box<ChunkKeys>>,
}

#[derive(Debug, Default)]
pub(crate) enum Value {
    #[default]
    Paged,
    Own(Vec<u8>),
    /// Sealed, and given to the store.
    Shared(Arc<Vec<u8>>),
}

impl Value {
    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::Paged => &[],
            Self::Own(value) => value,
            Self::Shared(value) => value,
        }
    }
    fn capacity(&self) -> usize {
        match self {
            Self::Paged => 0,
            Self::Own(value) => value.capacity(),
            Self::Shared(value) => value.capacity(),
        }
    }
}

impl Body {
    /// An empty value with room for `bytes` octets of records.
    pub(crate) fn with_room(bytes: usize) -> Box<Self> {
        let mut value = Vec::with_capacity(CHUNK_HEADER + bytes);
        value.resize(CHUNK_HEADER, 0);
        Box::new(Self {
            value: Value::Own(value),
            ..Self::default()
        })
    }

    /// The same body, empty again, if its buffer is its own.
    pub(crate) fn emptied(mut self: Box<Self>) -> Option<Box<Self>> {
        let mut value = match std::mem::take(&mut self.value) {
            Value::Paged => return None,
            Value::Own(value) => value,
            Value::Shared(value) => Arc::into_inner(value)?,
        };
        value.truncate(CHUNK_HEADER);
        *self = Self {
            value: Value::Own(value),
            ..Self::default()
        };
        Some(self)
    }

    /// Octets of memory that it takes.
    pub(crate) fn footprint(&self) -> usize {
        let own = size_of::<Self>() + self.value.capacity();
        match &self.apart {
            None => own,
            Some(apart) => own + self.footprint_apart(apart),
        }
    }

    /// The bodies of its records are in memory while it is.
    #[cold]
    fn footprint_apart(&self, apart: &Apart) -> usize {
        let resident = !matches!(self.value, Value::Paged);
        apart.footprint() + if resident { apart.bytes() as usize } else { 0 }
    }
}
