//! The logical records that a group commit writes to the journal, and their encoding.
//!
//! They say what happened, not where bytes go, so they apply without clock or randomness: on recovery to the state that a checkpoint left,
//! through the same code as live operation, and any number of times with the same result.
//!
//! ```text
//! kind u8 = 1 messages   queue u64  first u64  count u32  size u32  records...
//! kind u8 = 2 settled    queue u64  first u64  count u64
//! kind u8 = 3 topology   key size u32  value size u32 (u32::MAX: the key is deleted)  key...  value...
//! kind u8 = 4 body       id u64  size u32  octets...
//! kind u8 = 7 stands     queue u64  first u64  count u64  stage u8  returns u32  until u64 (`shard/standing.rs`)
//! ```
//! Integers are little-endian. A kind is never used again for something else (invariant 8).

use crate::ids::{BodyId, QueueId, Sequence};
use crate::record::Records;
use crate::shard::Standing;

/// The octets that say what kind of record follows.
mod kind {
    pub(super) const MESSAGES: u8 = 1;
    pub(super) const SETTLED: u8 = 2;
    pub(super) const TOPOLOGY: u8 = 3;
    pub(super) const BODY: u8 = 4;
    pub(super) const STANDS: u8 = 7;
}

/// One thing that happened and must outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRecord<'a> {
    /// Persistent messages arrived in a durable queue, with consecutive sequences.
    Messages {
        /// The queue.
        queue: QueueId,
        /// The sequence of the first of them.
        first: Sequence,
        /// The messages.
        records: Records<'a>,
    },
    /// Messages were acknowledged, dropped or purged: they must not come back.
    Settled {
        /// The queue.
        queue: QueueId,
        /// The sequence of the first of them.
        first: Sequence,
        /// How many, with consecutive sequences. Some may have been settled before, or never have been written.
        count: u64,
    },
    /// Messages came back, are dead or are under way: so they stand unless they are settled.
    Stands {
        /// The queue.
        queue: QueueId,
        /// The sequence of the first of them.
        first: Sequence,
        /// How many, with consecutive sequences. All of them were written, here or earlier; some may be settled later.
        count: u64,
        /// Where each of them stands.
        standing: Standing,
    },
    /// A topology record changed (`topology::Change`).
    Topology {
        /// The key in the store's meta family.
        key: &'a [u8],
        /// The new value; `None` if the key is gone.
        value: Option<&'a [u8]>,
    },
    /// A large body arrived. Records that refer to it are in the same commit or near it.
    Body {
        /// Its name.
        id: BodyId,
        /// The body.
        octets: &'a [u8],
    },
}

/// Appends log records to the bytes of a commit.
#[derive(Debug)]
pub struct LogWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> LogWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends one record.
    pub fn push(&mut self, record: LogRecord<'_>) {
        match record {
            LogRecord::Messages { queue, first, records } => {
                self.position(kind::MESSAGES, queue, first);
                self.out.extend_from_slice(&records.count.to_le_bytes());
                self.out.extend_from_slice(&(records.bytes.len() as u32).to_le_bytes());
                self.out.extend_from_slice(records.bytes);
            }
            LogRecord::Settled { queue, first, count } => {
                self.position(kind::SETTLED, queue, first);
                self.out.extend_from_slice(&count.to_le_bytes());
            }
            LogRecord::Stands {
                queue,
                first,
                count,
                standing,
            } => {
                self.position(kind::STANDS, queue, first);
                self.out.extend_from_slice(&count.to_le_bytes());
                self.out.extend_from_slice(&standing.encode());
            }
            LogRecord::Topology { key, value } => {
                self.out.push(kind::TOPOLOGY);
                self.out.extend_from_slice(&(key.len() as u32).to_le_bytes());
                self.out
                    .extend_from_slice(&value.map_or(u32::MAX, |v| v.len() as u32).to_le_bytes());
                self.out.extend_from_slice(key);
                self.out.extend_from_slice(value.unwrap_or_default());
            }
            LogRecord::Body { id, octets } => {
                self.out.push(kind::BODY);
                self.out.extend_from_slice(&id.0.to_le_bytes());
                self.out.extend_from_slice(&(octets.len() as u32).to_le_bytes());
                self.out.extend_from_slice(octets);
            }
        }
    }

    fn position(&mut self, kind: u8, queue: QueueId, first: Sequence) {
        self.out.push(kind);
        self.out.extend_from_slice(&queue.0.to_le_bytes());
        self.out.extend_from_slice(&first.0.to_le_bytes());
    }
}

/// The octets at `offset` are not a log record. The journal's checksums rule out damage, so an older or newer Stoa wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("octet {offset} of the commit: {what}; was this directory written by a newer Stoa?")]
pub struct LogError {
    /// Where the record begins.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the records of a commit in their order; stops at the first error.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Result<LogRecord<'_>, LogError>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let mut reader = Reader(rest);
        let outcome = match reader.record() {
            Ok(record) => {
                offset = bytes.len() - reader.0.len();
                Ok(record)
            }
            Err(what) => {
                let error = LogError { offset, what };
                offset = bytes.len();
                Err(error)
            }
        };
        Some(outcome)
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let (head, tail) = self.0.split_at_checked(n).ok_or("is cut short")?;
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or("is cut short")?;
        self.0 = tail;
        Ok(*head)
    }
    fn u32(&mut self) -> Result<u32, &'static str> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Result<u64, &'static str> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    fn record(&mut self) -> Result<LogRecord<'a>, &'static str> {
        match self.array::<1>()?[0] {
            kind::MESSAGES => {
                let (queue, first) = (QueueId(self.u64()?), Sequence(self.u64()?));
                let (count, size) = (self.u32()?, self.u32()? as usize);
                let records = Records {
                    bytes: self.take(size)?,
                    count,
                };
                Ok(LogRecord::Messages { queue, first, records })
            }
            kind::SETTLED => Ok(LogRecord::Settled {
                queue: QueueId(self.u64()?),
                first: Sequence(self.u64()?),
                count: self.u64()?,
            }),
            kind::STANDS => Ok(LogRecord::Stands {
                queue: QueueId(self.u64()?),
                first: Sequence(self.u64()?),
                count: self.u64()?,
                standing: Standing::decode(&self.array()?).ok_or("says what is not known")?,
            }),
            kind::TOPOLOGY => {
                let (key_size, value_size) = (self.u32()? as usize, self.u32()?);
                let key = self.take(key_size)?;
                let value = if value_size == u32::MAX {
                    None
                } else {
                    Some(self.take(value_size as usize)?)
                };
                Ok(LogRecord::Topology { key, value })
            }
            kind::BODY => {
                let (id, size) = (BodyId(self.u64()?), self.u32()? as usize);
                Ok(LogRecord::Body {
                    id,
                    octets: self.take(size)?,
                })
            }
            _ => Err("is of an unknown kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Millis;
    use crate::shard::Stage;

    fn examples() -> Vec<LogRecord<'static>> {
        vec![
            LogRecord::Messages {
                queue: QueueId(7),
                first: Sequence(300),
                records: Records {
                    bytes: b"records",
                    count: 3,
                },
            },
            LogRecord::Settled {
                queue: QueueId(7),
                first: Sequence(1),
                count: 1 << 40,
            },
            LogRecord::Stands {
                queue: QueueId(7),
                first: Sequence(1),
                count: 3,
                standing: Standing {
                    returns: 2,
                    stage: Stage::Delayed(Millis(1 << 40)),
                },
            },
            LogRecord::Topology {
                key: b"key",
                value: Some(b""),
            },
            LogRecord::Topology { key: b"key", value: None },
            LogRecord::Body {
                id: BodyId(9),
                octets: b"octets",
            },
        ]
    }

    #[test]
    fn what_was_written_reads_back() {
        let mut bytes = Vec::new();
        let mut writer = LogWriter::new(&mut bytes);
        examples().into_iter().for_each(|record| writer.push(record));
        let read_back: Result<Vec<_>, _> = read(&bytes).collect();
        assert_eq!(read_back, Ok(examples()));
    }

    #[test]
    fn octets_that_are_no_record_are_an_error_at_their_place() {
        let mut bytes = Vec::new();
        LogWriter::new(&mut bytes).push(examples()[1]);
        let whole = bytes.len();
        bytes.extend_from_slice(&[99, 1, 2]);
        assert_eq!(
            read(&bytes).last(),
            Some(Err(LogError {
                offset: whole,
                what: "is of an unknown kind"
            }))
        );
        assert_eq!(
            read(&bytes[..whole - 1]).last(),
            Some(Err(LogError {
                offset: 0,
                what: "is cut short"
            }))
        );
    }
}
