//! The elementary domains of the wire (AMQP 0-9-1, section 4.2.5): how each is read and written. What they are fields of is said elsewhere.

use crate::{Fault, RawTable, ShortStr, TableFault};

/// The octets end before the domain does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutShort {
    wanted: usize,
    left: usize,
}

impl From<CutShort> for Fault {
    fn from(CutShort { wanted, left }: CutShort) -> Self {
        Self::CutShort { wanted, left }
    }
}

impl From<CutShort> for TableFault {
    fn from(CutShort { wanted, left }: CutShort) -> Self {
        Self::CutShort { wanted, left }
    }
}

/// Reads domains one after the other. Consecutive bits share octets.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The octet that bits are taken from, the next one lowest, and how many are left in it.
    bits: u8,
    bits_left: u8,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            bits: 0,
            bits_left: 0,
        }
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    fn cut_short(&self, wanted: usize) -> CutShort {
        CutShort {
            wanted,
            left: self.rest.len(),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], CutShort> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(self.cut_short(n));
        };
        self.rest = tail;
        self.bits_left = 0;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CutShort> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.cut_short(N));
        };
        self.rest = tail;
        self.bits_left = 0;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, CutShort> {
        self.array().map(|[octet]| octet)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, CutShort> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, CutShort> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, CutShort> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Result<bool, CutShort> {
        if self.bits_left == 0 {
            self.bits = self.u8()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 != 0;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    /// What a length of one octet announces.
    #[inline]
    pub(crate) fn short(&mut self) -> Result<ShortStr<'a>, CutShort> {
        let size = self.u8()?;
        self.take(usize::from(size)).map(ShortStr::of_checked)
    }

    /// What a length of four octets announces.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<&'a [u8], CutShort> {
        let size = self.u32()?;
        self.take(size as usize)
    }
}

/// Appends domains one after the other. Consecutive bits share octets.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// How many bits of the last octet are taken; 0 if it is no octet of bits, or full.
    bits: u8,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits: 0 }
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.bits = 0;
    }

    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.bits == 0 {
            self.out.push(0);
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits;
        }
        self.bits = (self.bits + 1) & 7;
    }
}

/// Something that can be a field, and how it is read from a buffer that lives for `'buf`, and written.
pub(crate) trait Domain<'buf>: Sized {
    /// What the tests know it by.
    #[cfg(test)]
    const KIND: Kind;
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault>;
    fn write(&self, writer: &mut Writer<'_>);
}

/// The fields of a method by name, in their order; reserved ones are called so.
#[cfg(test)]
pub(crate) type Layout = &'static [(&'static str, Kind)];

/// The domains by name.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    U16,
    U32,
    U64,
    Bit,
    Name,
    Octets,
    Long,
    Table,
}

macro_rules! integer {
    ($($integer:ident $kind:ident)*) => {$(
        impl Domain<'_> for $integer {
            #[cfg(test)]
            const KIND: Kind = Kind::$kind;
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
                Ok(reader.$integer()?)
            }
            #[inline]
            fn write(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}

integer!(u8 U8 u16 U16 u32 U32 u64 U64);

impl Domain<'_> for bool {
    #[cfg(test)]
    const KIND: Kind = Kind::Bit;
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(reader.bit()?)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

/// A name, or another short string that RabbitMQ takes only if it is UTF-8.
impl<'a, 'buf: 'a> Domain<'buf> for ShortStr<'a> {
    #[cfg(test)]
    const KIND: Kind = Kind::Name;
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        let name = reader.short()?;
        if name.as_str().is_err() {
            return Err(Fault::NotUtf8);
        }
        Ok(name)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&[self.len() as u8]);
        writer.put(self.as_bytes());
    }
}

/// A short string of any octets, as RabbitMQ has it where messages travel.
pub(crate) struct Octets<'a>(ShortStr<'a>);

impl<'a> From<Octets<'a>> for ShortStr<'a> {
    fn from(octets: Octets<'a>) -> Self {
        octets.0
    }
}

impl<'a, 'buf: 'a> Domain<'buf> for Octets<'a> {
    #[cfg(test)]
    const KIND: Kind = Kind::Octets;
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        Ok(Self(reader.short()?))
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        self.0.write(writer);
    }
}

/// A long string: up to 4 GiB of any octets.
impl<'a, 'buf: 'a> Domain<'buf> for &'a [u8] {
    #[cfg(test)]
    const KIND: Kind = Kind::Long;
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        Ok(reader.long()?)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&size_of_long(self.len()).to_be_bytes());
        writer.put(self);
    }
}

impl<'a, 'buf: 'a> Domain<'buf> for RawTable<'a> {
    #[cfg(test)]
    const KIND: Kind = Kind::Table;
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        Ok(RawTable::validated(reader.long()?)?)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        self.bytes().write(writer);
    }
}

/// Reads a field: as what its type says, or as another domain that turns into it.
macro_rules! read_as {
    ($reader:ident, $ty:ty) => {
        <$ty as Domain>::read($reader)
    };
    ($reader:ident, $ty:ty, $domain:ident) => {
        crate::wire::$domain::read($reader).map(<$ty>::from)
    };
}

/// What the tests know a field by.
#[cfg(test)]
macro_rules! kind_of {
    ($ty:ty) => {
        <$ty as Domain>::KIND
    };
    ($ty:ty, $domain:ident) => {
        <crate::wire::$domain as Domain>::KIND
    };
}

#[cfg(test)]
pub(crate) use kind_of;
pub(crate) use read_as;

/// The length of what a length of four octets announces.
///
/// # Panics
/// If it is 4 GiB or more: no message, table or frame that the broker takes is.
#[inline]
pub(crate) fn size_of_long(size: usize) -> u32 {
    assert!(u32::try_from(size).is_ok(), "{size} octets do not go into a long string");
    size as u32
}

/// Appends what `write` appends behind its length of four octets.
pub(crate) fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let size = size_of_long(out.len() - start - 4);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}
