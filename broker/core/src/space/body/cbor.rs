//! CBOR (RFC 8949), its items pulled by `ciborium-ll`. Tag 1 is a timestamp, 2 and 3 are integers; of any other tag the value is taken as
//! if it had none. Field names are text or bytes. `undefined` is null.

use crate::space::error::{Malformed, Path};
use crate::space::owned::{Budget, Owned};
use crate::space::value::NANOS;
use ciborium_ll::{Decoder, Header, simple, tag};

/// How many tags may stand in front of a value.
const TAGS_MAX: usize = 8;

/// Pulls the chunks of text or bytes and hands each on. Whether all of them could be pulled. (The type that both have in common has no public name.)
macro_rules! gather {
    ($segments:expr, |$chunk:ident| $take:expr) => {{
        let mut segments = $segments;
        let mut buffer = [0; 512];
        'all: loop {
            match segments.pull() {
                Ok(Some(mut segment)) => loop {
                    match segment.pull(&mut buffer) {
                        Ok(Some($chunk)) => $take,
                        Ok(None) => break,
                        Err(_) => break 'all false,
                    }
                },
                Ok(None) => break true,
                Err(_) => break false,
            }
        }
    }};
}

/// Reads the one value that the octets are.
pub(super) fn read(octets: &[u8], budget: &mut Budget) -> Result<Owned, Malformed> {
    let mut reader = Reader {
        decoder: Decoder::from(octets),
        budget,
        size: octets.len(),
    };
    let path = Path::ROOT;
    let header = reader.pull(&path)?;
    let value = reader.value(header, &path)?;
    if reader.decoder.offset() < octets.len() {
        return Err(budget.malformed(&path, "one CBOR value", "octets behind it"));
    }
    Ok(value)
}

struct Reader<'a, 'b> {
    decoder: Decoder<&'a [u8]>,
    budget: &'b mut Budget,
    size: usize,
}

impl Reader<'_, '_> {
    fn broken(&mut self, path: &Path<'_>) -> Malformed {
        let at = self.size.min(self.decoder.offset());
        self.budget
            .malformed(path, "CBOR", format!("octets that are none, or end too early, near octet {at}"))
    }

    fn pull(&mut self, path: &Path<'_>) -> Result<Header, Malformed> {
        self.decoder.pull().map_err(|_| self.broken(path))
    }

    fn value(&mut self, mut header: Header, path: &Path<'_>) -> Result<Owned, Malformed> {
        self.budget.value(path)?;
        let mut innermost = None;
        for _ in 0..TAGS_MAX {
            let Header::Tag(tag) = header else { break };
            innermost = Some(tag);
            header = self.pull(path)?;
        }
        let untagged = self.untagged(header, path)?;
        match innermost {
            Some(1) => self.timestamp(&untagged, path),
            Some(tag::BIGPOS) => self.big(&untagged, false, path),
            Some(tag::BIGNEG) => self.big(&untagged, true, path),
            _ => Ok(untagged),
        }
    }

    fn untagged(&mut self, header: Header, path: &Path<'_>) -> Result<Owned, Malformed> {
        Ok(match header {
            Header::Positive(n) => Owned::Integer(n.into()),
            Header::Negative(n) => Owned::Integer(-1 - i128::from(n)),
            Header::Float(n) => Owned::Float(n),
            Header::Simple(simple::NULL | simple::UNDEFINED) => Owned::Null,
            Header::Simple(simple::FALSE) => Owned::Bool(false),
            Header::Simple(simple::TRUE) => Owned::Bool(true),
            Header::Simple(other) => {
                return Err(self.budget.malformed(path, "a value", format!("the simple value {other}")));
            }
            Header::Bytes(length) => Owned::Bytes(self.octets(length, path)?.into()),
            Header::Text(length) => Owned::Text(self.text(length, path)?.into()),
            Header::Array(length) => {
                let mut elements = Vec::new();
                while let Some(header) = self.next_of(length, elements.len(), &path.element(elements.len()))? {
                    let element = self.value(header, &path.element(elements.len()))?;
                    elements.push(element);
                }
                Owned::Array(elements.into())
            }
            Header::Map(length) => {
                let mut fields = Vec::new();
                while let Some(header) = self.next_of(length, fields.len(), path)? {
                    let name: Box<[u8]> = match header {
                        Header::Text(length) => self.text(length, path)?.into_bytes().into(),
                        Header::Bytes(length) => self.octets(length, path)?.into(),
                        _ => return Err(self.budget.malformed(path, "names that are text or bytes", "another type")),
                    };
                    let inner = path.field(&name);
                    let header = self.pull(&inner)?;
                    let value = self.value(header, &inner)?;
                    fields.push((name, value));
                }
                Owned::table(fields, path, self.budget.subject)?
            }
            Header::Break => return Err(self.budget.malformed(path, "a value", "a break")),
            Header::Tag(_) => return Err(self.budget.malformed(path, format!("at most {TAGS_MAX} tags"), "more")),
        })
    }

    /// The header of the next element of an array or map of that length, which is `None` if a break ends it.
    fn next_of(&mut self, length: Option<usize>, done: usize, path: &Path<'_>) -> Result<Option<Header>, Malformed> {
        if length == Some(done) {
            return Ok(None);
        }
        match self.pull(path)? {
            Header::Break if length.is_none() => Ok(None),
            header => Ok(Some(header)),
        }
    }

    fn octets(&mut self, length: Option<usize>, path: &Path<'_>) -> Result<Vec<u8>, Malformed> {
        self.fits(length, path)?;
        let mut out = Vec::new();
        let whole = gather!(self.decoder.bytes(length), |chunk| out.extend_from_slice(chunk));
        if whole { Ok(out) } else { Err(self.broken(path)) }
    }

    fn text(&mut self, length: Option<usize>, path: &Path<'_>) -> Result<String, Malformed> {
        self.fits(length, path)?;
        let mut out = String::new();
        let whole = gather!(self.decoder.text(length), |chunk| out.push_str(chunk));
        if whole { Ok(out) } else { Err(self.broken(path)) }
    }

    /// A length that reaches beyond the end is an error before anything is read.
    fn fits(&mut self, length: Option<usize>, path: &Path<'_>) -> Result<(), Malformed> {
        match length {
            Some(length) if length > self.size => Err(self.broken(path)),
            _ => Ok(()),
        }
    }

    /// Tag 1: seconds since 1970.
    fn timestamp(&self, seconds: &Owned, path: &Path<'_>) -> Result<Owned, Malformed> {
        let nanos = match seconds {
            Owned::Integer(seconds) => seconds.checked_mul(NANOS),
            Owned::Float(seconds) if seconds.is_finite() && seconds.abs() < 1e18 => Some((seconds * 1e9).round() as i128),
            _ => None,
        };
        let nanos = nanos.ok_or_else(|| self.budget.malformed(path, "seconds under tag 1", seconds.as_value().article()))?;
        Ok(Owned::Timestamp(nanos))
    }

    /// Tags 2 and 3: an integer in octets, the highest first.
    fn big(&self, octets: &Owned, negative: bool, path: &Path<'_>) -> Result<Owned, Malformed> {
        let Owned::Bytes(octets) = octets else {
            return Err(self.budget.malformed(path, "bytes of an integer", octets.as_value().article()));
        };
        let significant = octets
            .iter()
            .position(|octet| *octet != 0)
            .and_then(|at| octets.get(at..))
            .unwrap_or_default();
        let magnitude = (significant.len() <= size_of::<i128>())
            .then(|| significant.iter().fold(0u128, |n, octet| n << 8 | u128::from(*octet)))
            .and_then(|n| i128::try_from(n).ok());
        match magnitude {
            Some(n) => Ok(Owned::Integer(if negative { -1 - n } else { n })),
            None => Err(self.budget.malformed(path, "an integer of 128 bits", "a larger one")),
        }
    }
}
