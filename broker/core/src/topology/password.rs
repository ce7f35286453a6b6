//! Passwords as RabbitMQ keeps them: four octets of salt, and the SHA-256 of salt and password (`rabbit_password_hashing_sha256`).

use sha2::{Digest, Sha256};

/// What is kept of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash([u8; Self::SIZE]);

impl PasswordHash {
    const SALT: usize = 4;
    /// How many octets it has: the salt and the digest.
    pub const SIZE: usize = Self::SALT + 32;

    /// Hashes a password. The salt comes from the caller's randomness.
    #[must_use]
    pub fn new(salt: [u8; Self::SALT], password: &str) -> Self {
        let mut bytes = [0; Self::SIZE];
        let (head, digest) = bytes.split_at_mut(Self::SALT);
        head.copy_from_slice(&salt);
        digest.copy_from_slice(&Sha256::new().chain_update(salt).chain_update(password).finalize());
        Self(bytes)
    }

    /// The hash of these octets, as RabbitMQ's definitions have them in base 64; `None` if there are more or fewer than [`Self::SIZE`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The salt, and the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is that password's. Takes the same time however much of the digest is right.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let Some(salt) = self.0.first_chunk() else { return false };
        let other = Self::new(*salt, password);
        self.0.iter().zip(other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
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
        assert_eq!(PasswordHash::from_bytes(hash.as_bytes()), Some(hash));
        assert_eq!(PasswordHash::from_bytes(b"short"), None);
        assert!(hash.verify("test12"));
        assert!(!hash.verify("test13") && !hash.verify(""));
    }
}
