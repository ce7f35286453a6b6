//! The journal ends somewhere: because that is all there is, because a crash cut a write short, or because something is damaged. Which of them.
//!
//! Every entry says which commit was the last that was durable when it was written. So if the commit that is expected at the end is missing, and some
//! intact header says that it was durable, it is damage, and the store is refused. If none says so, nobody was ever told that it was durable, and it
//! is forgotten, with all that lies behind it. This holds for every sync policy.

use std::path::{Path, PathBuf};

use super::TornTail;
use super::entry::{Checks, Header};
use super::reader::Reader;
use super::replay::Start;
use super::segment::Segment;
use super::walk::End;
use crate::error::OpenError;

/// What is to be done with the segments that hold nothing that is wanted.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) spare: Vec<Segment>,
    pub(super) stale: Vec<Segment>,
    pub(super) generation_max: u64,
    pub(super) torn: Option<TornTail>,
}

/// Looks at everything that was not followed. `expected` is the commit that is missing; `blank` are the segments without an intact beginning.
pub(super) fn judge(
    checks: &Checks,
    folder: &Path,
    starts: &[Start],
    blank: Vec<Segment>,
    end: Option<&End>,
    expected: u64,
) -> Result<Verdict, OpenError> {
    let generation = end.map_or(0, |end| end.generation);
    let mut verdict = Verdict {
        spare: Vec::new(),
        stale: Vec::new(),
        generation_max: starts.iter().map(|start| start.header.generation).fold(generation, u64::max),
        torn: None,
    };
    let missed = end.map(|end| (starts[end.missed.0].segment.path.clone(), end.missed.1));
    if let Some(end) = end {
        let segment = &starts[end.index].segment;
        let rest = Rest::of(checks, segment, end.offset, expected, &mut verdict)?;
        if let Some(witness) = rest.witness {
            return Err(damaged(folder, missed, expected, &witness));
        }
        verdict.torn = (end.torn || rest.generation_max >= generation).then(|| TornTail {
            file: segment.path.clone(),
            offset: end.offset,
        });
    }
    for segment in blank {
        let rest = Rest::of(checks, &segment, 0, expected, &mut verdict)?;
        if let Some(witness) = rest.witness {
            return Err(damaged(folder, Some((segment.path, 0)), expected, &witness));
        }
        if rest.generation_max > generation {
            verdict.stale.push(segment);
        } else {
            verdict.spare.push(segment);
        }
    }
    for start in starts.iter().skip(end.map_or(0, |end| end.index + 1)) {
        let rest = Rest::of(checks, &start.segment, 0, expected, &mut verdict)?;
        if let Some(witness) = rest.witness {
            return Err(damaged(folder, missed, expected, &witness));
        }
        verdict.stale.push(start.segment.clone());
    }
    Ok(verdict)
}

/// What the headers in a part of a segment say.
#[derive(Debug, Default)]
struct Rest {
    /// One that says that the expected commit was durable.
    witness: Option<Witness>,
    generation_max: u64,
}

#[derive(Debug)]
struct Witness {
    number: u64,
    path: PathBuf,
    offset: u64,
}

impl Rest {
    fn of(checks: &Checks, segment: &Segment, from: u64, expected: u64, verdict: &mut Verdict) -> Result<Self, OpenError> {
        let mut rest = Self::default();
        Reader::new(checks, segment.clone()).headers(from, |offset, header: Header| {
            rest.generation_max = rest.generation_max.max(header.generation);
            if header.synced >= expected && rest.witness.is_none() {
                rest.witness = Some(Witness {
                    number: header.number,
                    path: segment.path.clone(),
                    offset,
                });
            }
        })?;
        verdict.generation_max = verdict.generation_max.max(rest.generation_max);
        Ok(rest)
    }
}

/// What is missing was expected where the entries stopped following each other, or at the beginning of a segment that lost just that, or it went with a
/// whole segment.
fn damaged(folder: &Path, missed: Option<(PathBuf, u64)>, expected: u64, witness: &Witness) -> OpenError {
    let what = format!(
        "commit {expected} was durable and is not intact there, while commit {} in {} at octet {} is",
        witness.number,
        witness.path.display(),
        witness.offset
    );
    let (file, offset) = missed.map_or_else(|| (folder.to_path_buf(), None), |(file, offset)| (file, Some(offset)));
    OpenError::Damaged { file, offset, what }
}
