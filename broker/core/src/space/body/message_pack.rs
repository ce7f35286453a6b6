//! MessagePack, its markers by `rmp`. The extension -1 is a timestamp, as the specification has it; others are refused. Field names are str or bin.

use crate::space::error::{Malformed, Path};
use crate::space::owned::{Budget, Owned};
use crate::space::value::NANOS;
use rmp::Marker;

/// Reads the one value that the octets are.
pub(super) fn read(octets: &[u8], budget: &mut Budget) -> Result<Owned, Malformed> {
    let mut reader = Reader { rest: octets, budget };
    let path = Path::ROOT;
    let value = reader.value(&path)?;
    if !reader.rest.is_empty() {
        return Err(reader.budget.malformed(&path, "one MessagePack value", "octets behind it"));
    }
    Ok(value)
}

struct Reader<'a, 'b> {
    rest: &'a [u8],
    budget: &'b mut Budget,
}

impl<'a> Reader<'a, '_> {
    fn take(&mut self, count: usize, path: &Path<'_>) -> Result<&'a [u8], Malformed> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            let came = format!("{} octets where {count} are announced", self.rest.len());
            return Err(self.budget.malformed(path, "MessagePack", came));
        };
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, path: &Path<'_>) -> Result<[u8; N], Malformed> {
        let octets = self.take(N, path)?;
        Ok(octets.first_chunk().copied().unwrap_or([0; N]))
    }

    /// A length of so many octets.
    fn length(&mut self, octets: usize, path: &Path<'_>) -> Result<usize, Malformed> {
        Ok(self.take(octets, path)?.iter().fold(0, |n, octet| n << 8 | usize::from(*octet)))
    }

    fn value(&mut self, path: &Path<'_>) -> Result<Owned, Malformed> {
        self.budget.value(path)?;
        let [marker] = self.array(path)?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Owned::Null,
            Marker::True => Owned::Bool(true),
            Marker::False => Owned::Bool(false),
            Marker::FixPos(n) => Owned::Integer(n.into()),
            Marker::FixNeg(n) => Owned::Integer(n.into()),
            Marker::U8 => Owned::Integer(u8::from_be_bytes(self.array(path)?).into()),
            Marker::U16 => Owned::Integer(u16::from_be_bytes(self.array(path)?).into()),
            Marker::U32 => Owned::Integer(u32::from_be_bytes(self.array(path)?).into()),
            Marker::U64 => Owned::Integer(u64::from_be_bytes(self.array(path)?).into()),
            Marker::I8 => Owned::Integer(i8::from_be_bytes(self.array(path)?).into()),
            Marker::I16 => Owned::Integer(i16::from_be_bytes(self.array(path)?).into()),
            Marker::I32 => Owned::Integer(i32::from_be_bytes(self.array(path)?).into()),
            Marker::I64 => Owned::Integer(i64::from_be_bytes(self.array(path)?).into()),
            Marker::F32 => Owned::Float(f32::from_be_bytes(self.array(path)?).into()),
            Marker::F64 => Owned::Float(f64::from_be_bytes(self.array(path)?)),
            Marker::FixStr(size) => self.text(size.into(), path)?,
            marker @ (Marker::Str8 | Marker::Str16 | Marker::Str32) => {
                let size = self.length(width(marker), path)?;
                self.text(size, path)?
            }
            marker @ (Marker::Bin8 | Marker::Bin16 | Marker::Bin32) => {
                let size = self.length(width(marker), path)?;
                Owned::Bytes(self.take(size, path)?.into())
            }
            Marker::FixArray(count) => self.elements(count.into(), path)?,
            marker @ (Marker::Array16 | Marker::Array32) => {
                let count = self.length(width(marker), path)?;
                self.elements(count, path)?
            }
            Marker::FixMap(count) => self.fields(count.into(), path)?,
            marker @ (Marker::Map16 | Marker::Map32) => {
                let count = self.length(width(marker), path)?;
                self.fields(count, path)?
            }
            Marker::FixExt1 => self.extension(1, path)?,
            Marker::FixExt2 => self.extension(2, path)?,
            Marker::FixExt4 => self.extension(4, path)?,
            Marker::FixExt8 => self.extension(8, path)?,
            Marker::FixExt16 => self.extension(16, path)?,
            marker @ (Marker::Ext8 | Marker::Ext16 | Marker::Ext32) => {
                let size = self.length(width(marker), path)?;
                self.extension(size, path)?
            }
            Marker::Reserved => return Err(self.budget.malformed(path, "a MessagePack value", "the reserved octet 0xc1")),
        })
    }

    /// A str that is no UTF-8 is bytes: older writers know no bin.
    fn text(&mut self, size: usize, path: &Path<'_>) -> Result<Owned, Malformed> {
        let octets = self.take(size, path)?;
        Ok(std::str::from_utf8(octets).map_or_else(|_| Owned::Bytes(octets.into()), |text| Owned::Text(text.into())))
    }

    fn elements(&mut self, count: usize, path: &Path<'_>) -> Result<Owned, Malformed> {
        let mut elements = Vec::new();
        for index in 0..count {
            elements.push(self.value(&path.element(index))?);
        }
        Ok(Owned::Array(elements.into()))
    }

    fn fields(&mut self, count: usize, path: &Path<'_>) -> Result<Owned, Malformed> {
        let mut fields = Vec::new();
        for _ in 0..count {
            let name = self.name(path)?;
            let value = self.value(&path.field(name))?;
            fields.push((name.into(), value));
        }
        Owned::table(fields, path, self.budget.subject)
    }

    fn name(&mut self, path: &Path<'_>) -> Result<&'a [u8], Malformed> {
        let [marker] = self.array(path)?;
        let size = match Marker::from_u8(marker) {
            Marker::FixStr(size) => size.into(),
            marker @ (Marker::Str8 | Marker::Str16 | Marker::Str32 | Marker::Bin8 | Marker::Bin16 | Marker::Bin32) => {
                self.length(width(marker), path)?
            }
            _ => return Err(self.budget.malformed(path, "names that are str or bin", "another type")),
        };
        self.take(size, path)
    }

    fn extension(&mut self, size: usize, path: &Path<'_>) -> Result<Owned, Malformed> {
        let [kind] = self.array(path)?;
        let octets = self.take(size, path)?;
        let number = |octets: &[u8]| octets.iter().fold(0u64, |n, octet| n << 8 | u64::from(*octet));
        let (seconds, nanos) = match (kind.cast_signed(), octets.len()) {
            (-1, 4) => (number(octets).into(), 0),
            (-1, 8) => (i128::from(number(octets) & 0x3_ffff_ffff), number(octets) >> 34),
            (-1, 12) => {
                let (nanos, seconds) = octets.split_at(4);
                (i128::from(number(seconds).cast_signed()), number(nanos))
            }
            (kind, size) => {
                let came = format!("the extension {kind} in {size} octets");
                return Err(self.budget.malformed(path, "a value, or a timestamp (extension -1)", came));
            }
        };
        if i128::from(nanos) >= NANOS {
            return Err(self.budget.malformed(path, "less than a second of nanoseconds", nanos.to_string()));
        }
        Ok(Owned::Timestamp(seconds * NANOS + i128::from(nanos)))
    }
}

/// In how many octets the length behind a marker is.
fn width(marker: Marker) -> usize {
    match marker {
        Marker::Str8 | Marker::Bin8 | Marker::Ext8 => 1,
        Marker::Str16 | Marker::Bin16 | Marker::Ext16 | Marker::Array16 | Marker::Map16 => 2,
        _ => 4,
    }
}
