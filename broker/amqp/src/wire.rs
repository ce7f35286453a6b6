//! The elementary domains of the wire (AMQP 0-9-1, section 4.2.5): how each is read and written. What they are fields of is said elsewhere.

use crate::{Fault, RawTable, ShortStr};

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
    fn cut_short(&self, wanted: usize) -> Fault {
        Fault::CutShort {
            wanted,
            left: self.rest.len(),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(self.cut_short(n));
        };
        self.rest = tail;
        self.bits_left = 0;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.cut_short(N));
        };
        self.rest = tail;
        self.bits_left = 0;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(|[octet]| octet)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Result<bool, Fault> {
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
    pub(crate) fn short(&mut self) -> Result<ShortStr<'a>, Fault> {
        let size = self.u8()?;
        self.take(usize::from(size)).map(ShortStr::of_checked)
    }

    /// What a length of four octets announces.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<&'a [u8], Fault> {
        let size = self.u32()?;
        self.take(size as usize)
    }
}

/// Appends domains one after the other. Consecutive bits share octets.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// How many bits of the last octet are taken; 0 if it is no octet of bits.
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

/// Something that can be a field of a method, and how it is read from a buffer that lives for `'buf`, and written.
pub(crate) trait Domain<'buf>: Sized {
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault>;
    fn write(&self, writer: &mut Writer<'_>);
}

macro_rules! integer {
    ($($integer:ident)*) => {$(
        impl Domain<'_> for $integer {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
                reader.$integer()
            }
            #[inline]
            fn write(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}

integer!(u8 u16 u32 u64);

impl Domain<'_> for bool {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.bit()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl<'a, 'buf: 'a> Domain<'buf> for ShortStr<'a> {
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        reader.short()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&[self.len() as u8]);
        writer.put(self.as_bytes());
    }
}

/// A long string: up to 4 GiB of any octets.
impl<'a, 'buf: 'a> Domain<'buf> for &'a [u8] {
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        reader.long()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&size_of_long(self.len()).to_be_bytes());
        writer.put(self);
    }
}

impl<'a, 'buf: 'a> Domain<'buf> for RawTable<'a> {
    #[inline]
    fn read(reader: &mut Reader<'buf>) -> Result<Self, Fault> {
        RawTable::validated(reader.long()?)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        self.bytes().write(writer);
    }
}

/// The length of what a length of four octets announces.
///
/// # Panics
/// If it is 4 GiB or more: no message, table or frame that the broker takes is.
#[inline]
pub(crate) fn size_of_long(size: usize) -> u32 {
    assert!(u32::try_from(size).is_ok(), "{size} octets do not go into a long string");
    size as u32
}
