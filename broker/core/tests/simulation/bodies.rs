//! The bodies that lie apart, counted by references: what a server keeps beside its shards.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use stoa_core::ids::BodyId;
use stoa_core::log::{LogRecord, LogWriter};
use stoa_core::record::{BodyRef, Record};

/// Shared by the sinks of all shards.
pub type Shared = Rc<RefCell<Bodies>>;

#[derive(Default)]
pub struct Bodies {
    /// Never used again, so that a body is never taken for another.
    last: u64,
    bodies: BTreeMap<BodyId, Body>,
    /// Stored bodies without references, and the commit that collects why.
    doomed: Vec<(u64, BodyId)>,
    /// The commit that collects what happens now.
    pub epoch: u64,
}

struct Body {
    size: u64,
    references: u32,
    /// Some message that refers to it must outlive the process, and no commit has the body.
    unwritten: bool,
    stored: bool,
}

/// A body's octets: enough to know it by.
pub fn octets(body: BodyRef) -> Vec<u8> {
    body.encode().to_vec()
}

impl Bodies {
    pub fn insert(&mut self, size: u64, references: u32, persistent: bool) -> BodyRef {
        self.last += 1;
        let id = BodyId(self.last);
        let body = Body {
            size,
            references,
            unwritten: persistent,
            stored: false,
        };
        self.bodies.insert(id, body);
        BodyRef { id, size }
    }

    /// A record that is ready or unacked was seen.
    pub fn check(&self, record: Record<'_>) {
        if let Some(BodyRef { id, size }) = record.body_ref() {
            let body = self.bodies.get(&id);
            assert_eq!(
                body.map(|body| body.size),
                Some(size),
                "body {id} is there while a record refers to it"
            );
        }
    }

    pub fn release(&mut self, id: BodyId) {
        let body = self.bodies.get_mut(&id).expect("a body is released once for each reference");
        body.references -= 1;
        if body.references == 0 {
            if body.stored {
                self.doomed.push((self.epoch, id));
            }
            self.bodies.remove(&id);
        }
    }

    /// What came since the last commit and is still there.
    pub fn collect(&mut self, log: &mut LogWriter<'_>) {
        for (&id, body) in self.bodies.iter_mut().filter(|(_, body)| body.unwritten) {
            body.unwritten = false;
            let octets = octets(BodyRef { id, size: body.size });
            log.push(LogRecord::Body { id, octets: &octets });
        }
    }

    /// Those of a chunk's bodies that must go into the table with it.
    pub fn unstored(&self, of: &[BodyRef]) -> Vec<BodyRef> {
        let stored = |body: &&BodyRef| self.bodies[&body.id].stored;
        of.iter().filter(|body| !stored(body)).copied().collect()
    }

    /// The table has it; if it went meanwhile, it is to be deleted there.
    pub fn stored(&mut self, id: BodyId) {
        match self.bodies.get_mut(&id) {
            Some(body) => body.stored = true,
            None => self.doomed.push((self.epoch, id)),
        }
    }

    /// Stored bodies that nothing can bring back any more.
    pub fn obsolete(&mut self, durable: u64) -> Vec<BodyId> {
        let gone = self.doomed.extract_if(.., |(epoch, _)| *epoch <= durable);
        gone.map(|(_, id)| id).collect()
    }

    /// Recovery: a body was found, in the table or in the journal.
    pub fn found(&mut self, id: BodyId, octets: &[u8], stored: bool) {
        let size = octets[8..].try_into().map(u64::from_le_bytes).expect("a reference");
        let body = self.bodies.entry(id).or_insert(Body {
            size,
            references: 0,
            unwritten: false,
            stored,
        });
        assert_eq!(
            self::octets(BodyRef { id, size: body.size }),
            octets,
            "the body is what was published"
        );
    }

    /// Recovery: a record refers to the body.
    pub fn refer(&mut self, id: BodyId, size: u64) {
        let body = self.bodies.get_mut(&id).expect("a body is durable when its message is");
        assert_eq!(body.size, size);
        body.references += 1;
    }

    /// Recovery: the bodies that nothing refers to.
    pub fn unreferenced(&mut self) -> Vec<BodyId> {
        self.bodies
            .extract_if(.., |_, body| body.references == 0)
            .map(|(id, _)| id)
            .collect()
    }

    /// What the process knows is gone; names are not used again.
    pub fn crash(&mut self) {
        self.bodies.clear();
        self.doomed.clear();
    }

    /// How many records refer to each.
    pub fn references(&self) -> BTreeMap<BodyId, u32> {
        self.bodies.iter().map(|(&id, body)| (id, body.references)).collect()
    }
}
