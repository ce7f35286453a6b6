//! Percent-encoding (RFC 3986), as names stand in paths and queries.

/// The text, with all but unreserved characters encoded.
pub(crate) fn encode(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &octet in text {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(octet.into());
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// What an encoded text stands for; in a query `+` is a space. What is no valid encoding stands for itself, and what is not UTF-8 is replaced.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> String {
    let octets = text.as_bytes();
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let hex = |place: usize| octets.get(at + place).and_then(|digit| char::from(*digit).to_digit(16));
        match (octet, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((16 * high + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus_is_space => out.push(b' '),
            _ => out.push(octet),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (text, encoded) in [("/", "%2F"), ("a.*", "a.%2A"), ("ä~ b", "%C3%A4~%20b"), ("", ""), ("%41", "%2541")] {
            assert_eq!(encode(text.as_bytes()), encoded);
            assert_eq!(decode(encoded, true), text);
        }
        assert_eq!(decode("a+b%2b%zz%4", true), "a b+%zz%4");
        assert_eq!(decode("a+b", false), "a+b");
    }
}
