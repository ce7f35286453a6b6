//! Dispatch in a space: what arrived or came back goes to those who wait for it, then those who search go on.

use crate::ids::{ConsumerId, Millis, Sequence};
use crate::shard::bits::Bits;
use crate::shard::chunk::state;
use crate::shard::common::Common;
use crate::shard::effects::{Effects, Event};
use crate::shard::queue::Queue;
use crate::shard::single::Full;
use crate::shard::space::seekers::{Seekers, Why};
use crate::shard::space::{Inquiry, tuple_of};
use crate::space::{Digest, Search, Step, Template};

/// What a search has come to.
pub(super) enum Found {
    /// A ready tuple in memory that matches.
    Tuple(Sequence),
    /// A tuple whose chunk is being loaded.
    Loading,
    /// Much was looked at: others have their turn.
    Pausing,
    /// There are no more.
    End,
}

impl Queue {
    /// As [`turn`](Self::turn), in a space.
    pub(crate) fn turn_space(&mut self, mut budget: u32, common: &mut Common, effects: &mut impl Effects) -> u32 {
        self.note_returned(common, effects);
        let mut digest = Digest::default();
        while budget > 0 {
            budget -= 1;
            let fresh = common.tuples.get_mut(&self.id).and_then(|tuples| tuples.fresh.pop_front());
            if let Some(sequence) = fresh {
                self.announce(sequence, &mut digest, common, effects);
            } else if let Some(id) = self.space.as_mut().and_then(|space| space.searching.pop_front()) {
                self.go_on(id, common, effects);
            } else {
                budget += 1;
                break;
            }
        }
        self.look_for_held(common, effects);
        self.note_awaited(common);
        self.activate(common);
        budget
    }

    /// Whether a space has something to do.
    pub(crate) fn is_busy_space(&self, space: &Seekers, common: &Common) -> bool {
        let tuples = common.tuples.get(&self.id);
        !space.searching.is_empty()
            || tuples.is_some_and(|tuples| {
                !tuples.fresh.is_empty()
                    || !tuples.came_back.is_empty()
                    || tuples.loosened && !space.for_held.is_empty() && space.late.is_empty()
            })
    }

    /// Whether what arrives is to be announced.
    pub(crate) fn note_awaited(&self, common: &mut Common) {
        if let (Some(space), Some(tuples)) = (&self.space, common.tuples.get_mut(&self.id)) {
            tuples.awaited = !space.waiters.is_empty();
            if !tuples.awaited {
                tuples.fresh.clear();
            }
        }
    }

    /// A chunk has come into memory, or will not.
    pub(crate) fn space_loaded(&mut self, common: &mut Common) {
        if let (Some(space), Some(tuples)) = (&mut self.space, common.tuples.get_mut(&self.id)) {
            tuples.fresh.extend(space.loaded());
            tuples.came_back.append(&mut space.late_returns);
        }
    }

    /// Whether a tuple is ready and in memory; if it is on disk it is asked for. `None`: it is not ready, or cannot be had.
    pub(super) fn at_hand(&mut self, sequence: Sequence, common: &mut Common, effects: &mut impl Effects) -> Option<bool> {
        loop {
            let lane = self.lanes.current_mut();
            if !lane.is_skipped(sequence) {
                return None;
            }
            let at = lane.find(sequence);
            let chunk = &lane.chunks[at];
            if !chunk.is_resident() {
                if chunk.is(state::DAMAGED) {
                    return None;
                }
                lane.load(at, false, common, effects);
                return Some(false);
            }
            if chunk.due >= common.now {
                lane.looked_at(chunk.first, common);
                return Some(true);
            }
            let (first, before_now) = (chunk.first, Millis(common.now.0 - 1));
            self.look(first, before_now, common, effects);
        }
    }

    /// Tells those who wait of a tuple: all readers get copies, and one taker the tuple.
    fn announce(&mut self, sequence: Sequence, digest: &mut Digest, common: &mut Common, effects: &mut impl Effects) {
        match self.at_hand(sequence, common, effects) {
            None => return,
            Some(false) => {
                self.space.iter_mut().for_each(|space| space.late.push(sequence));
                return;
            }
            Some(true) => {}
        }
        let mut readers = Vec::new();
        let mut taker = self.awaiting(sequence, digest, &mut readers);
        for reader in readers {
            self.show_tuple(reader, sequence, common, effects);
        }
        while let Some(id) = taker {
            if self.give(id, sequence, common, effects) {
                return;
            }
            // It could not take it and does not wait any more; the next one may.
            taker = self.awaiting(sequence, digest, &mut Vec::new());
        }
    }

    /// Who waits for a tuple in memory: the readers, and the first taker.
    fn awaiting(&mut self, sequence: Sequence, digest: &mut Digest, readers: &mut Vec<ConsumerId>) -> Option<ConsumerId> {
        let Self { lanes, space, .. } = self;
        let space = space.as_deref_mut()?;
        if space.waiters.is_empty() {
            return None;
        }
        let tuple = tuple_of(lanes.current_mut().record(sequence)?).ok()?;
        digest.read(&tuple);
        let mut waiters = Vec::new();
        let taker = space.waiters.arrived(&tuple, digest, &mut waiters);
        readers.extend(waiters.into_iter().filter_map(|waiter| space.in_line(waiter)));
        taker.and_then(|taker| space.in_line(taker))
    }

    /// A tuple has come that a reader waits for, which may be about to find it by itself.
    fn show_tuple(&mut self, id: ConsumerId, sequence: Sequence, common: &mut Common, effects: &mut impl Effects) {
        let Some(seeker) = self.space.as_mut().and_then(|space| space.get_mut(id)) else {
            return;
        };
        if seeker.why != Why::Waits {
            return seeker.miss(sequence);
        }
        if sequence >= seeker.read_upto {
            // What came before it was announced before. If it cannot take it now it will search from here on.
            seeker.read_upto = sequence;
            if self.give(id, sequence, common, effects) {
                self.read_upto(id, sequence.plus(1));
            }
            return;
        }
        if !self.give(id, sequence, common, effects)
            && let Some(seeker) = self.space.as_mut().and_then(|space| space.get_mut(id))
        {
            seeker.miss(sequence);
        }
    }

    fn read_upto(&mut self, id: ConsumerId, upto: Sequence) {
        if let Some(seeker) = self.space.as_mut().and_then(|space| space.get_mut(id)) {
            seeker.read_upto = upto;
        }
    }

    /// One who searches goes on, up to the next tuple that is for it.
    fn go_on(&mut self, id: ConsumerId, common: &mut Common, effects: &mut impl Effects) {
        let Some(space) = &mut self.space else { return };
        let Some(seeker) = space.get_mut(id).filter(|seeker| seeker.why == Why::Searches) else {
            return;
        };
        if seeker.credit() == 0 {
            return space.stand(id, Why::NoCredit);
        }
        let (seek, reads) = (seeker.seek.clone(), seeker.reads());
        if reads && let Some(missed) = seeker.missed.pop_first() {
            return self.read_missed(id, &seek.template, missed, common, effects);
        }
        let from = seeker.read_upto;
        let mut search = seeker.search.take().unwrap_or_else(|| Search::from(&seek.template, from));
        let mut candidate = seeker.candidate.take();
        let found = self.find_match(&seek.template, &mut search, &mut candidate, common, effects);
        let (position, next) = (search.position(), self.lanes.current().next);
        let Some(space) = &mut self.space else { return };
        if let Some(seeker) = space.get_mut(id) {
            if reads {
                seeker.read_upto = match found {
                    Found::Tuple(sequence) => sequence,
                    Found::Loading => candidate.unwrap_or(position),
                    Found::Pausing => position,
                    Found::End => next,
                };
            }
            (seeker.search, seeker.candidate) = (Some(search), candidate);
        }
        match found {
            Found::Tuple(sequence) => {
                if self.give(id, sequence, common, effects) {
                    if reads {
                        self.read_upto(id, sequence.plus(1));
                    }
                    let space = self.space.iter_mut();
                    space.for_each(|space| {
                        // Between its steps it is told of what comes back behind it.
                        if space.get(id).is_some_and(|seeker| seeker.why == Why::Searches) {
                            space.join_line(id);
                            space.searching.push_back(id);
                        }
                    });
                }
            }
            Found::Loading | Found::Pausing => {
                space.join_line(id);
                let why = if matches!(found, Found::Loading) {
                    Why::Loads
                } else {
                    Why::Searches
                };
                space.stand(id, why);
            }
            Found::End => {
                space.join_line(id);
                space.stand(id, Why::Waits);
                let at_once = seek.timeout_ms == Some(0) || reads && !seek.follow && seek.max.is_none();
                if !at_once {
                    return;
                }
                if seek.wait_held && self.is_held(&seek.template, common) {
                    let space = self.space.iter_mut();
                    space.for_each(|space| {
                        space.for_held.insert(id);
                    });
                } else {
                    self.end_seek(id, common, effects);
                }
            }
        }
    }

    /// A reader looks at a tuple that came back while it could not.
    fn read_missed(&mut self, id: ConsumerId, template: &Template, missed: Sequence, common: &mut Common, effects: &mut impl Effects) {
        let again = |queue: &mut Self, why: Why, is_missed: bool| {
            let Some(space) = &mut queue.space else { return };
            if let Some(seeker) = space.get_mut(id).filter(|_| is_missed) {
                seeker.missed.insert(missed);
            }
            space.stand(id, why);
        };
        match self.at_hand(missed, common, effects) {
            None => again(self, Why::Searches, false),
            Some(false) => again(self, Why::Loads, true),
            Some(true) if !self.is_match(missed, template) => again(self, Why::Searches, false),
            Some(true) => {
                if self.give(id, missed, common, effects) {
                    if self
                        .space
                        .as_ref()
                        .is_some_and(|space| space.get(id).is_some_and(|seeker| seeker.why == Why::Searches))
                    {
                        again(self, Why::Searches, false);
                    }
                } else if let Some(seeker) = self.space.as_mut().and_then(|space| space.get_mut(id)) {
                    seeker.missed.insert(missed);
                }
            }
        }
    }

    fn is_match(&mut self, sequence: Sequence, template: &Template) -> bool {
        let record = self.lanes.current_mut().record(sequence);
        let tuple = record.and_then(|record| tuple_of(record).ok());
        tuple.is_some_and(|tuple| template.matches(&tuple))
    }

    /// The next ready tuple that matches. `candidate`: what the search had come to, which was not in memory.
    pub(super) fn find_match(
        &mut self,
        template: &Template,
        search: &mut Search,
        candidate: &mut Option<Sequence>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) -> Found {
        loop {
            let sequence = match candidate.take() {
                Some(sequence) => sequence,
                None => match common.tuples.get_mut(&self.id).map(|tuples| tuples.index.next(search)) {
                    Some(Step::Candidate(sequence)) => sequence,
                    Some(Step::Pause) => return Found::Pausing,
                    Some(Step::End) | None => return Found::End,
                },
            };
            match self.at_hand(sequence, common, effects) {
                // It died, is delayed, or cannot be read: nobody looks for it again until it comes back.
                None => {
                    let tuples = common.tuples.get_mut(&self.id);
                    tuples.into_iter().for_each(|tuples| {
                        tuples.index.hold(sequence);
                    });
                }
                Some(false) => {
                    *candidate = Some(sequence);
                    return Found::Loading;
                }
                Some(true) if self.is_match(sequence, template) => return Found::Tuple(sequence),
                Some(true) => {}
            }
        }
    }

    /// Whether somebody holds a tuple that may match.
    pub(super) fn is_held(&self, template: &Template, common: &Common) -> bool {
        let tuples = common.tuples.get(&self.id);
        tuples.is_some_and(|tuples| tuples.index.next_held(template, Sequence(0)).is_some())
    }

    /// Those that wait for what others hold: if nothing is held any more that they could want, that was all.
    fn look_for_held(&mut self, common: &mut Common, effects: &mut impl Effects) {
        let (Some(space), Some(tuples)) = (&self.space, common.tuples.get_mut(&self.id)) else {
            return;
        };
        if space.for_held.is_empty() || !tuples.fresh.is_empty() || !space.late.is_empty() || !std::mem::take(&mut tuples.loosened) {
            return;
        }
        let waiting: Vec<_> = space
            .for_held
            .iter()
            .filter_map(|id| Some((*id, space.get(*id)?.seek.clone())))
            .collect();
        for (id, seek) in waiting {
            if !self.is_held(&seek.template, common) {
                self.end_seek(id, common, effects);
            }
        }
    }

    /// A consumer has got what it wanted, or cannot get it.
    pub(crate) fn end_seek(&mut self, id: ConsumerId, common: &mut Common, effects: &mut impl Effects) {
        let Some(consumer) = self.space.as_mut().and_then(|space| space.remove(id, common)) else {
            return;
        };
        common.leave(consumer.outlet, self.id, consumer.id);
        effects.cancelled(&consumer, self.id);
        self.used(common);
        self.tell_if_unused(effects);
    }

    /// Gives a tuple in memory to a taker, or a copy to a reader, unless its outlet or its channel cannot take it: then it stands aside.
    fn give(&mut self, id: ConsumerId, sequence: Sequence, common: &mut Common, effects: &mut impl Effects) -> bool {
        let term = self.term(common);
        let (Some(space), queue) = (self.space.as_deref_mut(), self.id) else {
            return false;
        };
        let Some(seeker) = space.get(id) else { return false };
        let (reads, consumer) = (seeker.reads(), &seeker.consumer);
        if seeker.credit() == 0 {
            space.stand(id, Why::NoCredit);
            return false;
        }
        match common.room_for_one(consumer, queue, effects) {
            Ok(()) => {}
            Err(Full::Outlet) => {
                space.stand(id, Why::Parked);
                return false;
            }
            Err(Full::Channel) => {
                space.stand(id, Why::Refused);
                return false;
            }
        }
        let lane = self.lanes.current_mut();
        let (redelivered, no_ack) = (lane.is_skipped_again(sequence), consumer.no_ack);
        let name = if reads { queue.copies() } else { queue };
        lane.deliver_one(sequence, redelivered, (consumer, name, term), common, effects);
        self.traffic.deliver(1, no_ack || reads, redelivered);
        let wants_more = space.took(id);
        if wants_more && space.get(id).is_some_and(|seeker| seeker.credit() == 0) {
            space.stand(id, Why::NoCredit);
        }
        if !reads {
            self.take_out(sequence, no_ack, common, effects);
        }
        if !wants_more {
            self.end_seek(id, common, effects);
        }
        true
    }

    /// A ready tuple went out to a taker.
    pub(super) fn take_out(&mut self, sequence: Sequence, no_ack: bool, common: &mut Common, effects: &mut impl Effects) {
        if self.notifies(common) {
            self.note_one(Event::Take, sequence, effects);
        }
        if let Some(tuples) = common.tuples.get_mut(&self.id) {
            tuples.index.hold(sequence);
        }
        self.lanes.update(0, |lane| {
            let at = lane.find(sequence);
            let place = lane.chunks[at].index(sequence);
            let settled = if no_ack { Bits::of(place..place + 1) } else { Bits::default() };
            lane.take_skipped(at, place, settled, common, effects);
        });
        self.probe_delivered(sequence, 1, no_ack, common.now);
    }

    /// The next tuple for one who does not wait.
    pub(super) fn find_next(&mut self, inquiry: &mut Inquiry, common: &mut Common, effects: &mut impl Effects) -> Found {
        let template = inquiry.template.clone();
        self.find_match(&template, &mut inquiry.search, &mut inquiry.candidate, common, effects)
    }
}
