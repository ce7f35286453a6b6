//! The topic exchange: a message goes where a pattern matches its routing key (AMQP 0-9-1, section 3.1.3.3).
//!
//! Keys and patterns are words with dots between them; in a pattern `*` stands for one word and `#` for any number of them, none included.
//! The empty key has no words. The patterns are kept as a trie: a node for each beginning of a pattern, found from its parent by the next word
//! in one table for the whole exchange. A message walks down from the root along the words of its key; every node at which the key ends is a
//! pattern that matches.

use crate::topology::destinations::{Destinations, Target};
use crate::topology::route::Found;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// A node's place in the list of nodes.
type NodeId = u32;

const ROOT: NodeId = 0;

/// A pattern's beginning, up to and including one of its words.
#[derive(Debug, Default)]
struct Node {
    parent: NodeId,
    word: Box<[u8]>,
    /// How many nodes are found from this one by a plain word.
    words: u32,
    /// The node for `*` behind this one. No node has the root behind it, so the root's place stands for none, here and in `hash`.
    star: NodeId,
    /// The node for `#` behind this one.
    hash: NodeId,
    /// There is a `#` on the way here, before this word. Only such a node can be reached at more than one place.
    below_hash: bool,
    /// Where messages go whose key ends here.
    destinations: Destinations,
}

#[derive(Debug)]
pub(in crate::topology) struct Topic {
    nodes: Vec<Node>,
    /// Nodes that are not in use.
    free: Vec<NodeId>,
    /// The nodes of plain words, by parent and word.
    by_word: HashTable<NodeId>,
    hasher: DefaultHashBuilder,
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            by_word: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

/// The words of a key or a pattern.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|octet| *octet == b'.').filter(move |_| !key.is_empty())
}

impl Topic {
    pub(in crate::topology) fn insert(&mut self, pattern: &[u8], target: Target) {
        let mut at = ROOT;
        for word in words(pattern) {
            at = self.child(at, word).unwrap_or_else(|| self.grow(at, word));
        }
        self.node_mut(at).destinations.insert(target);
    }

    pub(in crate::topology) fn remove(&mut self, pattern: &[u8], target: Target) {
        let Some(mut at) = words(pattern).try_fold(ROOT, |at, word| self.child(at, word)) else {
            return;
        };
        self.node_mut(at).destinations.remove(target);
        while at != ROOT && self.node(at).is_bare() {
            at = self.prune(at);
        }
    }

    pub(in crate::topology) fn is_empty(&self) -> bool {
        self.node(ROOT).is_bare()
    }

    pub(in crate::topology) fn route(&self, key: &[u8], found: &mut Found<'_>) {
        let mut walk = Walk {
            topic: self,
            key,
            reached: Vec::new(),
            found,
        };
        walk.node(ROOT, if key.is_empty() { walk.end() } else { 0 });
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    fn hash_of(&self, parent: NodeId, word: &[u8]) -> u64 {
        self.hasher.hash_one((parent, word))
    }

    /// The node behind `parent` for a plain word.
    fn behind(&self, parent: NodeId, word: &[u8]) -> Option<NodeId> {
        let is_it = |id: &NodeId| {
            let node = self.node(*id);
            node.parent == parent && *node.word == *word
        };
        self.by_word.find(self.hash_of(parent, word), is_it).copied()
    }

    /// The node behind `parent` for a word of a pattern.
    fn child(&self, parent: NodeId, word: &[u8]) -> Option<NodeId> {
        let some = |id| (id != ROOT).then_some(id);
        match word {
            b"*" => some(self.node(parent).star),
            b"#" => some(self.node(parent).hash),
            word => self.behind(parent, word),
        }
    }

    /// Adds the node behind `parent` for a word of a pattern.
    fn grow(&mut self, parent: NodeId, word: &[u8]) -> NodeId {
        let above = self.node(parent);
        let node = Node {
            parent,
            word: word.into(),
            below_hash: above.below_hash || *above.word == *b"#",
            ..Node::default()
        };
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as NodeId
            }
        };
        match word {
            b"*" => self.node_mut(parent).star = id,
            b"#" => self.node_mut(parent).hash = id,
            word => {
                self.node_mut(parent).words += 1;
                let hash = self.hash_of(parent, word);
                let Self {
                    by_word, nodes, hasher, ..
                } = self;
                by_word.insert_unique(hash, id, |id| {
                    let node = &nodes[*id as usize];
                    hasher.hash_one((node.parent, &*node.word))
                });
            }
        }
        id
    }

    /// Takes a node away on which nothing depends, and gives its parent.
    fn prune(&mut self, id: NodeId) -> NodeId {
        let Node { parent, word, .. } = std::mem::take(self.node_mut(id));
        match &*word {
            b"*" => self.node_mut(parent).star = ROOT,
            b"#" => self.node_mut(parent).hash = ROOT,
            word => {
                let hash = self.hash_of(parent, word);
                if let Ok(entry) = self.by_word.find_entry(hash, |other| *other == id) {
                    entry.remove();
                }
                self.node_mut(parent).words -= 1;
            }
        }
        self.free.push(id);
        parent
    }
}

impl Node {
    /// Nothing is bound here or further on.
    fn is_bare(&self) -> bool {
        self.words == 0 && self.star == ROOT && self.hash == ROOT && self.destinations.is_empty()
    }
}

/// One message's way through the trie. A place in the key is where a word begins, or the end.
struct Walk<'a, 'f, 'o> {
    topic: &'a Topic,
    key: &'a [u8],
    /// The nodes of `#` below another `#` that were reached, in order. The walk comes to each node at ascending places, and from a `#` at a
    /// later place there is nothing to be found that was not found from the first. So no way is walked twice, and many `#` do not multiply.
    reached: Vec<NodeId>,
    found: &'f mut Found<'o>,
}

impl Walk<'_, '_, '_> {
    /// The place behind the last word: as if a dot followed it.
    fn end(&self) -> usize {
        self.key.len() + 1
    }

    /// The place behind the word that begins at `place`.
    fn next(&self, place: usize) -> usize {
        let rest = &self.key[place..];
        place + rest.iter().position(|octet| *octet == b'.').unwrap_or(rest.len()) + 1
    }

    /// At a node that stands for the words before `place`.
    fn node(&mut self, id: NodeId, place: usize) {
        let node = self.topic.node(id);
        if place == self.end() {
            self.found.add(&node.destinations);
        } else if node.words > 0 || node.star != ROOT {
            self.step(node, id, place, self.next(place));
        }
        if node.hash != ROOT {
            self.hash(node.hash, place);
        }
    }

    /// On by one word, to `next`.
    fn step(&mut self, node: &Node, id: NodeId, place: usize, next: usize) {
        if node.words > 0
            && let Some(behind) = self.topic.behind(id, &self.key[place..next - 1])
        {
            self.node(behind, next);
        }
        if node.star != ROOT {
            self.node(node.star, next);
        }
    }

    /// At a node of `#`, which stands for the words from `place` up to any later place.
    fn hash(&mut self, id: NodeId, place: usize) {
        let node = self.topic.node(id);
        if node.below_hash {
            match self.reached.binary_search(&id) {
                Ok(_) => return,
                Err(at) => self.reached.insert(at, id),
            }
        }
        self.found.add(&node.destinations);
        if node.words > 0 || node.star != ROOT {
            let mut from = place;
            while from < self.end() {
                let next = self.next(from);
                self.step(node, id, from, next);
                from = next;
            }
        }
        if node.hash != ROOT {
            self.hash(node.hash, place);
        }
    }
}
