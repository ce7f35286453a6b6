//! Reading what is in a queue without taking it: for queues that have no consumers, those of exchanges' own.

use crate::ids::{QueueId, Sequence};
use crate::record::{Record, Records};
use crate::shard::Shard;
use crate::shard::stored::{CHUNK_HEADER, StoredError, verify};

impl Shard {
    /// Names every ready message of a queue, from the oldest on. Chunks that are not in memory are fetched by their first sequence, and do not stay.
    ///
    /// # Errors
    /// If a chunk is damaged; what lies before it has been named.
    pub fn read(
        &self,
        queue: QueueId,
        mut fetch: impl FnMut(Sequence) -> Vec<u8>,
        mut each: impl FnMut(Record<'_>),
    ) -> Result<(), StoredError> {
        let lanes = self.queues.get(&queue).into_iter().flat_map(|queue| queue.lanes.iter());
        for lane in lanes {
            for (at, chunk) in lane.chunks.iter().enumerate() {
                let ready = lane.ready_places(at);
                if chunk.is_resident() {
                    let records = chunk.each().filter(|(place, _)| ready.contains(*place));
                    records.for_each(|(_, record)| each(record));
                    continue;
                }
                let value = fetch(chunk.first);
                verify(&value, chunk.count(), chunk.bytes())?;
                let records = Records {
                    bytes: &value[CHUNK_HEADER..],
                    count: chunk.count().into(),
                };
                for (_, record) in (0..chunk.count()).zip(records.iter()).filter(|(place, _)| ready.contains(*place)) {
                    each(record);
                }
            }
        }
        Ok(())
    }
}
