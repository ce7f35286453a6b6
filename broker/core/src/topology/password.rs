//! What is kept of passwords: argon2id for new ones, and RabbitMQ's salted hashes as they are imported (`rabbit_password_hashing_sha256`, `_sha512` and
//! `_md5`): four octets of salt, and the digest of salt and password.

use argon2::{Algorithm, Argon2, Params, Version};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hashing {
    /// Argon2id (RFC 9106), with 19 MiB, two passes, one lane, as OWASP recommends. Slow on purpose: not to be computed while others wait.
    Argon2id,
    /// RabbitMQ's default.
    Sha256,
    /// RabbitMQ's other one.
    Sha512,
    /// What RabbitMQ had before 3.6.
    Md5,
}

impl Hashing {
    const ALL: [Self; 4] = [Self::Argon2id, Self::Sha256, Self::Sha512, Self::Md5];

    /// The name in definitions: RabbitMQ's, where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Argon2id => "argon2id",
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hashing| hashing.name() == name)
    }

    fn salt_size(self) -> usize {
        if self == Self::Argon2id { 16 } else { 4 }
    }

    fn digest_size(self) -> usize {
        match self {
            Self::Argon2id | Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Md5 => 16,
        }
    }

    fn digest(self, salt: &[u8], password: &str) -> Vec<u8> {
        match self {
            Self::Argon2id => argon2id(salt, password).to_vec(),
            Self::Sha256 => Sha256::new().chain_update(salt).chain_update(password).finalize().to_vec(),
            Self::Sha512 => Sha512::new().chain_update(salt).chain_update(password).finalize().to_vec(),
            Self::Md5 => Md5::new().chain_update(salt).chain_update(password).finalize().to_vec(),
        }
    }
}

/// KiB, passes and lanes. A hash is good for these: other ones need a name of their own.
const ARGON2_COST: (u32, u32, u32) = (19 << 10, 2, 1);

fn argon2id(salt: &[u8], password: &str) -> [u8; 32] {
    let (memory, passes, lanes) = ARGON2_COST;
    let params = Params::new(memory, passes, lanes, Some(32)).expect("parameters that are within their limits");
    let mut digest = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut digest)
        .expect("a salt and a digest of the right size");
    digest
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    hashing: Hashing,
    /// The salt, and the digest.
    octets: Box<[u8]>,
}

impl PasswordHash {
    /// Hashes a password as RabbitMQ does by default. The salt comes from the caller's randomness.
    #[must_use]
    pub fn new(salt: [u8; 4], password: &str) -> Self {
        Self::hashed(Hashing::Sha256, &salt, password)
    }

    /// Hashes a password with argon2id: that takes some ten milliseconds.
    #[must_use]
    pub fn argon2id(salt: [u8; 16], password: &str) -> Self {
        Self::hashed(Hashing::Argon2id, &salt, password)
    }

    fn hashed(hashing: Hashing, salt: &[u8], password: &str) -> Self {
        let octets = [salt, &hashing.digest(salt, password)].concat().into();
        Self { hashing, octets }
    }

    /// The hash of these octets, as definitions have them in base 64; `None` if there are more or fewer than there should be.
    #[must_use]
    pub fn from_bytes(hashing: Hashing, octets: &[u8]) -> Option<Self> {
        (octets.len() == hashing.salt_size() + hashing.digest_size()).then(|| Self {
            hashing,
            octets: octets.into(),
        })
    }

    /// The salt, and the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// How it was hashed.
    #[must_use]
    pub fn hashing(&self) -> Hashing {
        self.hashing
    }

    /// Whether it is that password's. Takes the same time however much of the digest is right; with argon2id a long one.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let (salt, digest) = self.octets.split_at(self.hashing.salt_size());
        let other = self.hashing.digest(salt, password);
        digest.len() == other.len() && digest.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash({})", self.hashing.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_rabbitmqs_and_knows_its_password() {
        // RabbitMQ's documentation: salt 908D C60A, password "test12".
        let hash = PasswordHash::new([0x90, 0x8D, 0xC6, 0x0A], "test12");
        assert_eq!(hash.as_bytes()[..8], [0x90, 0x8D, 0xC6, 0x0A, 0xA5, 0xB9, 0x24, 0xB3]);
        assert_eq!(PasswordHash::from_bytes(Hashing::Sha256, hash.as_bytes()), Some(hash.clone()));
        assert_eq!(PasswordHash::from_bytes(Hashing::Sha256, b"short"), None);
        assert_eq!(PasswordHash::from_bytes(Hashing::Sha512, hash.as_bytes()), None);
        assert!(hash.verify("test12"));
        assert!(!hash.verify("test13") && !hash.verify(""));
    }

    #[test]
    fn every_hash_knows_its_password() {
        for hashing in Hashing::ALL {
            let salt = vec![7; hashing.salt_size()];
            let hash = PasswordHash::hashed(hashing, &salt, "geheim");
            assert_eq!(
                PasswordHash::from_bytes(hashing, hash.as_bytes()),
                Some(hash.clone()),
                "{hashing:?}"
            );
            assert!(hash.verify("geheim") && !hash.verify("Geheim"), "{hashing:?}");
            assert_eq!(Hashing::of_name(hashing.name()), Some(hashing));
        }
        assert_eq!(Hashing::of_name("rabbit_password_hashing_none"), None);
    }
}
