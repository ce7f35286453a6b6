//! Patterns that names are held against: in permissions, topic permissions and policies.
//!
//! They are regular expressions and need not match the whole of a name. Most are matched in time linear in the name. Those that look around
//! (`^(?!amq\\.)` is in many policies) or refer back take a matcher that tries one way after the other, with a bound: what takes more steps does not match.

use std::sync::Arc;

/// Steps that a match may take.
const STEPS_MAX: usize = 100_000;

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Linear(regex::bytes::Regex),
    Backtracking(Arc<fancy_regex::Regex>),
}

impl Pattern {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if let Ok(regex) = regex::bytes::Regex::new(text) {
            return Ok(Self::Linear(regex));
        }
        let regex = fancy_regex::RegexBuilder::new(text).backtrack_limit(STEPS_MAX).build();
        let regex = regex.map_err(|error| error.to_string())?;
        Ok(Self::Backtracking(Arc::new(regex)))
    }

    /// Octets that are not UTF-8 match as if they were replaced, where the pattern is one of the second sort.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Linear(regex) => regex.is_match(name),
            Self::Backtracking(regex) => regex.is_match(&*String::from_utf8_lossy(name)).unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_perl() {
        for (pattern, matching, other) in [
            ("", &["", "a", "amq.direct"][..], &[][..]),
            ("^a", &["a", "ab"], &["", "ba"]),
            ("^(?!amq\\.).*", &["a", "", "amqp"], &["amq.direct"]),
            ("^(?!(amq\\.|tmp-)).+$", &["a"], &["amq.x", "tmp-1", ""]),
            ("(?<=\\.)eu$", &["orders.eu"], &["eu", "orders.eu.1"]),
            ("^(a+)-\\1$", &["aa-aa"], &["aa-a"]),
        ] {
            let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(matching.iter().all(|name| compiled.matches(name.as_bytes())), "{pattern}");
            assert!(!other.iter().any(|name| compiled.matches(name.as_bytes())), "{pattern}");
        }
        for wrong in ["(", "[a", "(?<n", "*"] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_takes_too_long_does_not_match() {
        let pattern = Pattern::new("^(?=(a+)+$)(a|aa)+\\1$").unwrap_or_else(|error| panic!("{error}"));
        assert!(!pattern.matches(&[&[b'a'; 200][..], b"!"].concat()));
    }
}
