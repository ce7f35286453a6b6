//! Waiters whose templates fix the same values: groups of equal templates, in the order of the low ends of their ranges, in chunks of up to 64.
//! A chunk says how far its ranges reach, so that those that do not reach a tuple are passed over together.

use super::{Intent, WaiterId};
use crate::space::template::Template;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many groups a chunk has at most.
const CHUNK: usize = 64;

/// The waiters with one template.
#[derive(Debug)]
pub(super) struct Group {
    low: u64,
    high: u64,
    fingerprint: u64,
    template: Arc<Template>,
    readers: BTreeSet<WaiterId>,
    takers: BTreeSet<WaiterId>,
}

impl Group {
    fn key(&self) -> (u64, u64) {
        (self.low, self.fingerprint)
    }

    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    pub(super) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = WaiterId> {
        self.readers.iter().copied()
    }

    /// The number of the taker that has waited longest, or the greatest there is if there is none.
    pub(super) fn first_taker(&self) -> u64 {
        self.takers.first().map_or(u64::MAX, |waiter| waiter.0)
    }

    fn list(&mut self, intent: Intent) -> &mut BTreeSet<WaiterId> {
        match intent {
            Intent::Read => &mut self.readers,
            Intent::Take => &mut self.takers,
        }
    }
}

/// Some neighbours.
#[derive(Debug, Default)]
struct Chunk {
    groups: Vec<Group>,
    /// The lowest end of their ranges. Here, so that chunks that are passed over are not followed into memory.
    low: u64,
    /// The highest end.
    high: u64,
}

impl Chunk {
    fn measure(&mut self) {
        self.low = self.groups.first().map_or(u64::MAX, |group| group.low);
        self.high = self.groups.iter().map(|group| group.high).max().unwrap_or(0);
    }
}

#[derive(Debug, Default)]
pub(super) struct Bucket {
    chunks: Vec<Chunk>,
}

impl Bucket {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The chunk in which a group of that key is, or would be.
    fn chunk(&self, key: (u64, u64)) -> usize {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.groups.first().is_some_and(|group| group.key() <= key));
        after.saturating_sub(1)
    }

    pub(super) fn add(&mut self, (low, high): (u64, u64), waiter: WaiterId, intent: Intent, template: &Arc<Template>) -> u64 {
        let mut fingerprint = template.fingerprint();
        loop {
            let number = self.chunk((low, fingerprint));
            if self.chunks.is_empty() {
                self.chunks.push(Chunk::default());
            }
            let chunk = &mut self.chunks[number];
            match chunk.groups.binary_search_by_key(&(low, fingerprint), Group::key) {
                Ok(at) if *chunk.groups[at].template == **template => {
                    chunk.groups[at].list(intent).insert(waiter);
                    return fingerprint;
                }
                // Another template with the same hash.
                Ok(_) => fingerprint = fingerprint.wrapping_add(1),
                Err(at) => {
                    let mut group = Group {
                        low,
                        high,
                        fingerprint,
                        template: template.clone(),
                        readers: BTreeSet::new(),
                        takers: BTreeSet::new(),
                    };
                    group.list(intent).insert(waiter);
                    chunk.groups.insert(at, group);
                    chunk.measure();
                    self.split(number);
                    return fingerprint;
                }
            }
        }
    }

    fn split(&mut self, number: usize) {
        let chunk = &mut self.chunks[number];
        if chunk.groups.len() <= CHUNK {
            return;
        }
        let mut upper = Chunk {
            groups: chunk.groups.split_off(CHUNK / 2),
            ..Chunk::default()
        };
        upper.measure();
        chunk.measure();
        self.chunks.insert(number + 1, upper);
    }

    pub(super) fn remove(&mut self, key: (u64, u64), waiter: WaiterId, intent: Intent) {
        let number = self.chunk(key);
        let Some(chunk) = self.chunks.get_mut(number) else { return };
        let Ok(at) = chunk.groups.binary_search_by_key(&key, Group::key) else {
            return;
        };
        let group = &mut chunk.groups[at];
        group.list(intent).remove(&waiter);
        if group.readers.is_empty() && group.takers.is_empty() {
            chunk.groups.remove(at);
            chunk.measure();
            if chunk.groups.is_empty() {
                self.chunks.remove(number);
            }
        }
    }

    /// The groups in whose range the image is.
    pub(super) fn find(&self, image: u64, look: &mut impl FnMut(&Group)) {
        for chunk in self.chunks.iter().take_while(|chunk| chunk.low <= image) {
            if chunk.high < image {
                continue;
            }
            let reached = chunk.groups.iter().take_while(|group| group.low <= image);
            reached.filter(|group| group.high >= image).for_each(&mut *look);
        }
    }

    pub(super) fn each(&self, look: &mut impl FnMut(&Group)) {
        self.chunks.iter().flat_map(|chunk| &chunk.groups).for_each(look);
    }
}
