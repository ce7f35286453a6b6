//! Logins by password, for AMQP and HTTP alike.
//!
//! Argon2id is slow on purpose: it is computed while no lock is held, two at a time at most, and a password that was right is remembered as a
//! keyed digest for as long as the user keeps it, so that a client that logs in again and again (or sends a password with every HTTP request) pays once.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use stoa_core::topology::{Hashing, PasswordHash};
use tokio::sync::Semaphore;

use crate::broker::Broker;
use crate::config::Config;
use crate::outlet::Outlet;

/// Users whose password is remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Slow hashes that are computed at a time.
const SLOW_MAX: usize = 2;

/// How many logins there were over AMQP, and which passwords were right before.
#[derive(Debug)]
pub(crate) struct Logins {
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// Nobody outside this process can tell what a digest is of.
    key: [u8; 32],
    right: Mutex<HashMap<String, Right>>,
    /// Users whose password was hashed anew: what stood for it before, and what does now. Once a user.
    renewed: Mutex<HashMap<String, (u64, u64)>>,
    slow: Arc<Semaphore>,
}

/// A password that was right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    /// What it was right for.
    hash: PasswordHash,
    digest: [u8; 32],
}

impl Default for Logins {
    fn default() -> Self {
        let (a, b) = (uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes());
        let mut key = [0; 32];
        key[..16].copy_from_slice(&a);
        key[16..].copy_from_slice(&b);
        Self {
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            key,
            right: Mutex::default(),
            renewed: Mutex::default(),
            slow: Arc::new(Semaphore::new(SLOW_MAX)),
        }
    }
}

impl Logins {
    pub(crate) fn note(&self, is_right: bool) {
        let count = if is_right { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn right(&self, hash: &PasswordHash, password: &str) -> Right {
        let digest = Sha256::new().chain_update(self.key).chain_update(password).finalize().into();
        let hash = hash.clone();
        Right { hash, digest }
    }

    /// Whether that password was right for that hash before.
    fn recalls(&self, user: &str, hash: &PasswordHash, password: &str) -> bool {
        let right = self.right(hash, password);
        self.right.lock().get(user) == Some(&right)
    }

    fn remember(&self, user: &str, hash: &PasswordHash, password: &str) {
        let right = self.right(hash, password);
        let mut all = self.right.lock();
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(user.to_owned(), right);
    }
}

/// What is known of a password without computing for long.
enum Known {
    Right,
    Wrong,
    /// It takes argon2id to tell.
    Unknown(PasswordHash),
}

impl Broker {
    /// What the broker was started with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Logins over AMQP since the start, or since they were last set back: how many succeeded, and how many failed.
    #[must_use]
    pub fn login_attempts(&self) -> (u64, u64) {
        (
            self.logins.succeeded.load(Ordering::Relaxed),
            self.logins.failed.load(Ordering::Relaxed),
        )
    }

    /// Counts logins over AMQP from zero again.
    pub fn reset_login_attempts(&self) {
        self.logins.succeeded.store(0, Ordering::Relaxed);
        self.logins.failed.store(0, Ordering::Relaxed);
    }

    fn known(&self, user: &str, password: &str, local: bool) -> Known {
        let hash = {
            let site = self.topology.read();
            match site.topology.user(user) {
                Some(user) if local || !user.loopback_only => user.password.clone(),
                _ => None,
            }
        };
        match hash {
            None => Known::Wrong,
            Some(hash) if hash.hashing() != Hashing::Argon2id => {
                if hash.verify(password) {
                    Known::Right
                } else {
                    Known::Wrong
                }
            }
            Some(hash) if self.logins.recalls(user, &hash, password) => Known::Right,
            Some(hash) => Known::Unknown(hash),
        }
    }

    /// Whether that is the user's password, and the user may come from there. A password that is kept in RabbitMQ's way is hashed with argon2id
    /// from its first login on.
    pub async fn log_in(self: &Arc<Self>, user: &str, password: &str, local: bool) -> bool {
        let hash = match self.known(user, password, local) {
            Known::Wrong => return false,
            Known::Right => {
                self.renew_hash(user, password);
                return true;
            }
            Known::Unknown(hash) => hash,
        };
        let (text, against) = (password.to_owned(), hash.clone());
        let is_right = self.slowly(move || against.verify(&text)).await.unwrap_or(false);
        if is_right {
            self.logins.remember(user, &hash, password);
        }
        is_right
    }

    /// The same, as far as it can be told at once; `None`: it takes argon2id to tell.
    pub(crate) fn log_in_now(self: &Arc<Self>, user: &str, password: &str, local: bool) -> Option<bool> {
        match self.known(user, password, local) {
            Known::Wrong => Some(false),
            Known::Right => {
                self.renew_hash(user, password);
                Some(true)
            }
            Known::Unknown(_) => None,
        }
    }

    /// Looks at a password while its connection waits, which is woken when the answer is there. As many wait here as there are handshakes.
    pub(crate) fn log_in_for(self: &Arc<Self>, outlet: &Arc<Outlet>, user: String, password: String, local: bool) -> Arc<OnceLock<bool>> {
        let answer = Arc::new(OnceLock::new());
        let (broker, outlet, told) = (self.clone(), outlet.clone(), answer.clone());
        self.next_runtime().spawn(async move {
            let is_right = broker.log_in(&user, &password, local).await;
            told.get_or_init(|| is_right);
            outlet.wake.notify_one();
        });
        answer
    }

    /// Computes something slow while others go on. `None`: it has panicked.
    async fn slowly<R: Send + 'static>(&self, compute: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        let turn = self.logins.slow.clone().acquire_owned().await.ok()?;
        let computed = tokio::task::spawn_blocking(compute).await.ok();
        drop(turn);
        computed
    }

    /// What is kept of a new password.
    pub(crate) async fn hash_password(&self, password: String) -> PasswordHash {
        let salt = uuid::Uuid::new_v4().into_bytes();
        let fallback = password.clone();
        let hashed = self.slowly(move || PasswordHash::argon2id(salt, &password)).await;
        hashed.unwrap_or_else(|| PasswordHash::argon2id(salt, &fallback))
    }

    /// The password was right and is kept in RabbitMQ's way: keeps it in a better one, soon. `guest` is left as it is while its password is `guest`,
    /// which nobody can keep better.
    fn renew_hash(self: &Arc<Self>, user: &str, password: &str) {
        let old = self.topology.read().topology.user(user).and_then(|user| user.password.clone());
        let Some(old) = old.filter(|hash| hash.hashing() != Hashing::Argon2id) else {
            return;
        };
        if (user, password) == ("guest", "guest") {
            return;
        }
        let (broker, user, password) = (self.clone(), user.to_owned(), password.to_owned());
        self.next_runtime().spawn(async move {
            let new = broker.hash_password(password).await;
            let changed = broker.change_topology(|topology, changes| {
                // Somebody may have set another one meanwhile.
                let same = topology.user(&user).filter(|known| known.password.as_ref() == Some(&old));
                let renewed = same.map(|known| {
                    let mut renewed = known.clone();
                    renewed.password = Some(new.clone());
                    renewed
                });
                renewed.is_some_and(|renewed| topology.put_user(renewed, changes).is_ok())
            });
            if changed.outcome {
                let marks = (broker.mark_of(Some(&old)), broker.mark_of(Some(&new)));
                broker.logins.renewed.lock().insert(user.clone(), marks);
                tracing::info!(target: "audit", user, "the password is kept with argon2id from now on");
            }
        });
    }

    /// A number that stands for the user's password; `None` if there is no such user. It means nothing in another process.
    #[must_use]
    pub fn password_mark(&self, user: &str) -> Option<u64> {
        let site = self.topology.read();
        let user = site.topology.user(user)?;
        Some(self.mark_of(user.password.as_ref()))
    }

    fn mark_of(&self, hash: Option<&PasswordHash>) -> u64 {
        self.mark.hash_one(hash.map(PasswordHash::as_bytes))
    }

    /// Whether the user still has the password that this stands for, be it kept in another way.
    #[must_use]
    pub fn password_is(&self, user: &str, mark: u64) -> bool {
        let now = self.password_mark(user);
        now == Some(mark) || now.is_some_and(|now| self.logins.renewed.lock().get(user) == Some(&(mark, now)))
    }
}
