//! Short strings: up to 255 octets, borrowed from a buffer or owned. What the octets mean is the business of whoever reads them.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

/// More than 255 octets do not go into a short string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{size} octets do not go into a short string, which holds {max}", max = ShortStr::SIZE_MAX)]
pub struct TooLong {
    /// How many octets there are.
    pub size: usize,
}

/// A short string (AMQP 0-9-1, section 4.2.5.3), borrowed. Any octets; nearly always UTF-8.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortStr<'a>(&'a [u8]);

impl<'a> ShortStr<'a> {
    /// How many octets a short string holds at most.
    pub const SIZE_MAX: usize = 255;

    /// These octets as a short string.
    ///
    /// # Errors
    /// [`TooLong`] if there are more than [`Self::SIZE_MAX`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, TooLong> {
        if bytes.len() > Self::SIZE_MAX {
            return Err(TooLong { size: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// As many of the octets as fit, cut between characters if they are UTF-8. For reply texts.
    #[must_use]
    pub fn truncated(text: &'a str) -> Self {
        Self(text.get(..text.floor_char_boundary(Self::SIZE_MAX)).unwrap_or(text).as_bytes())
    }

    /// A short string known when this is compiled. Does not compile in a constant if it is too long.
    ///
    /// # Panics
    /// If it is longer than [`Self::SIZE_MAX`].
    #[must_use]
    pub const fn literal(text: &'a str) -> Self {
        assert!(text.len() <= Self::SIZE_MAX, "a short string holds 255 octets");
        Self(text.as_bytes())
    }

    /// Of octets that came with a length of one octet.
    pub(crate) fn of_checked(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() <= Self::SIZE_MAX);
        Self(bytes)
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text.
    ///
    /// # Errors
    /// If the octets are not UTF-8.
    pub fn as_str(self) -> Result<&'a str, std::str::Utf8Error> {
        std::str::from_utf8(self.0)
    }

    /// The text, with a replacement character for what is not UTF-8.
    #[must_use]
    pub fn as_str_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// How many octets.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are no octets.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> TryFrom<&'a str> for ShortStr<'a> {
    type Error = TooLong;
    fn try_from(text: &'a str) -> Result<Self, TooLong> {
        Self::new(text.as_bytes())
    }
}

impl AsRef<[u8]> for ShortStr<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl PartialEq<str> for ShortStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str_lossy())
    }
}

impl fmt::Debug for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A short string, owned. Cheap to clone, compared and hashed by its octets.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortString(Arc<[u8]>);

impl ShortString {
    /// A copy of these octets.
    ///
    /// # Errors
    /// [`TooLong`] if there are more than 255.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, TooLong> {
        ShortStr::new(bytes.as_ref()).map(Self::from)
    }

    /// As many octets of a text as fit.
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        ShortStr::truncated(text).into()
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    ///
    /// # Errors
    /// If the octets are not UTF-8.
    pub fn as_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }

    /// The text, with a replacement character for what is not UTF-8.
    #[must_use]
    pub fn as_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_short(&self) -> ShortStr<'_> {
        ShortStr(&self.0)
    }

    /// How many octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no octets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<ShortStr<'_>> for ShortString {
    fn from(short: ShortStr<'_>) -> Self {
        Self(if short.is_empty() { Arc::default() } else { Arc::from(short.0) })
    }
}

impl<'a> From<&'a ShortString> for ShortStr<'a> {
    fn from(short: &'a ShortString) -> Self {
        short.as_short()
    }
}

impl From<&str> for ShortString {
    /// For names that the program knows; what comes from outside goes through [`ShortString::new`].
    ///
    /// # Panics
    /// If the text is longer than 255 octets.
    fn from(text: &str) -> Self {
        assert!(
            text.len() <= ShortStr::SIZE_MAX,
            "{} octets do not go into a short string",
            text.len()
        );
        ShortStr(text.as_bytes()).into()
    }
}

/// Equality, order and hash are those of the slice, as [`Borrow`] demands.
impl Borrow<[u8]> for ShortString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_short().fmt(f)
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_short().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn only_255_octets_fit() {
        let long = "x".repeat(256);
        assert_eq!(ShortString::new(&long), Err(TooLong { size: 256 }));
        assert_eq!(ShortStr::new(&long.as_bytes()[1..]).map(ShortStr::len), Ok(255));
        assert_eq!(ShortStr::truncated(&long).len(), 255);
        // Not within a character.
        let accented = "é".repeat(128);
        assert_eq!(ShortStr::truncated(&accented).len(), 254);
    }

    #[test]
    fn a_map_by_short_string_is_asked_with_octets() {
        let map: HashMap<ShortString, u8> = [(ShortString::from("a"), 1), (ShortString::default(), 2)].into();
        assert_eq!(
            (map.get(&b"a"[..]), map.get(&b""[..]), map.get(&b"b"[..])),
            (Some(&1), Some(&2), None)
        );
    }

    #[test]
    fn any_octets_can_be_shown() {
        let octets = ShortStr::literal("plain");
        assert_eq!(
            (octets.to_string().as_str(), format!("{octets:?}").as_str()),
            ("plain", "\"plain\"")
        );
        let octets = ShortString::new(b"\xffx").expect("short");
        assert_eq!(
            (octets.to_string().as_str(), format!("{octets:?}").as_str()),
            ("\u{fffd}x", "\"\\xffx\"")
        );
        assert!(octets.as_str().is_err());
    }
}
