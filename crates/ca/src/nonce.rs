//! Nonces (RFC 8555 §6.5): sealed, not stored. A nonce is (window, counter, minute, HMAC); what is kept are the used
//! ones, one bit each, in pages that age drops.
//!
//! Making one costs an HMAC and no memory, so that a flood of newNonce evicts nobody's (T-CA-25). The window's id and
//! key are drawn at every start; a clean stop may save the window, which the next start takes over and deletes before
//! its first request. After a crash the old window is void, so a spent nonce never lives again (T-CA-23). Minutes are
//! monotonic, so a jump of the wall clock neither revives nor kills one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{constant_time, hmac, rand};
use cairn_acme::{base64url, time::Timestamp};
use zeroize::Zeroizing;

/// How long a nonce is good for.
pub const LIFE: Duration = Duration::from_secs(3600);

/// Characters of a nonce on the wire.
pub const LENGTH: usize = 43;

/// Why a nonce is refused; the client hears `badNonce` for each (RFC 8555 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceRefusal {
    /// Not made by this window: another server's, a process' that is gone, or forged.
    #[error("the nonce is not from this server, or from before its restart")]
    Foreign,
    /// Older than [`LIFE`].
    #[error("the nonce is older than an hour")]
    Expired,
    /// It was in a request before.
    #[error("the nonce was used before")]
    Used,
}

/// Why there is no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceFault {
    /// The system gives no random bytes.
    #[error("no random bytes for the nonces' key")]
    NoEntropy,
    /// The saved window is not readable; a new one is as good, clients retry.
    #[error("the saved nonces are not readable")]
    Unreadable,
}

/// The nonces of one process.
pub struct Nonces {
    window: [u8; WINDOW],
    secret: Zeroizing<[u8; SECRET]>,
    key: hmac::Key,
    /// Minutes that had gone when this process' monotonic clock was at zero.
    base: u32,
    next: AtomicU64,
    used: Mutex<Used>,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Nonces {
    /// Opens a new window under a fresh key.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Self, NonceFault> {
        let mut window = [0; WINDOW];
        let mut secret = Zeroizing::new([0; SECRET]);
        rand::fill(&mut window).map_err(|_| NonceFault::NoEntropy)?;
        rand::fill(secret.as_mut()).map_err(|_| NonceFault::NoEntropy)?;
        Ok(Self::from_parts(window, secret, 0, 0, Used::default()))
    }

    fn from_parts(
        window: [u8; WINDOW],
        secret: Zeroizing<[u8; SECRET]>,
        base: u32,
        next: u64,
        used: Used,
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        Self {
            window,
            secret,
            key,
            base,
            next: AtomicU64::new(next),
            used: Mutex::new(used),
        }
    }

    /// Makes a nonce. `now` is monotonic.
    #[must_use]
    pub fn mint(&self, now: Duration) -> String {
        // The minute is read before the counter is drawn: a later counter never carries an earlier minute by more
        // than the time between these two lines, which the grace of `Used::retire` covers.
        let minute = self.minute(now);
        let counter = self.next.fetch_add(1, Ordering::Relaxed) & COUNTER_MASK;
        let mut bytes = [0; BYTES];
        bytes[..WINDOW].copy_from_slice(&self.window);
        bytes[WINDOW..WINDOW + 6].copy_from_slice(&counter.to_be_bytes()[2..]);
        bytes[WINDOW + 6..SEALED].copy_from_slice(&minute.to_be_bytes());
        let tag = hmac::sign(&self.key, &bytes[..SEALED]);
        bytes[SEALED..].copy_from_slice(&tag.as_ref()[..TAG]);
        base64url::encode(&bytes)
    }

    /// Checks a nonce's seal and age, and spends it. `now` is monotonic.
    ///
    /// # Errors
    /// If it is not ours, too old, or was spent.
    pub fn burn(&self, nonce: &str, now: Duration) -> Result<(), NonceRefusal> {
        if nonce.len() != LENGTH {
            return Err(NonceRefusal::Foreign);
        }
        let bytes = base64url::decode(nonce).map_err(|_| NonceRefusal::Foreign)?;
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| NonceRefusal::Foreign)?;
        let tag = hmac::sign(&self.key, &bytes[..SEALED]);
        // Constant time, so that a forger learns nothing octet by octet (T-CA-24).
        constant_time::verify_slices_are_equal(&tag.as_ref()[..TAG], &bytes[SEALED..])
            .map_err(|_| NonceRefusal::Foreign)?;
        let mut wide = [0; 8];
        wide[2..].copy_from_slice(&bytes[WINDOW..WINDOW + 6]);
        let counter = u64::from_be_bytes(wide);
        let mut minute = [0; 4];
        minute.copy_from_slice(&bytes[WINDOW + 6..SEALED]);
        let minute = u32::from_be_bytes(minute);
        let today = self.minute(now);
        if today.saturating_sub(minute) > LIFE_MINUTES {
            return Err(NonceRefusal::Expired);
        }
        let minted = self.next.load(Ordering::Relaxed);
        if self.used().spend(counter, minted, today) {
            Ok(())
        } else {
            Err(NonceRefusal::Used)
        }
    }

    /// Octets that the used ones occupy.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.used().pages.len() * PAGE_WORDS * 8
    }

    /// How many were made in this window.
    #[must_use]
    pub fn minted(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The window as bytes, for a file of mode 0600 that the next start reads with [`Nonces::load`] and deletes before
    /// its first request. Contains the key.
    #[must_use]
    pub fn save(&self, now: Duration, wall: Timestamp) -> Zeroizing<Vec<u8>> {
        let used = self.used();
        let mut out = Zeroizing::new(Vec::with_capacity(
            128 + used.pages.len() * (PAGE_WORDS * 8 + 8),
        ));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.window);
        out.extend_from_slice(self.secret.as_ref());
        out.extend_from_slice(&self.minted().to_be_bytes());
        out.extend_from_slice(&self.minute(now).to_be_bytes());
        out.extend_from_slice(&wall.as_millis().to_be_bytes());
        let marks = u32::try_from(used.marks.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&marks.to_be_bytes());
        for (minute, counter) in &used.marks {
            out.extend_from_slice(&minute.to_be_bytes());
            out.extend_from_slice(&counter.to_be_bytes());
        }
        for (number, page) in &used.pages {
            out.extend_from_slice(&number.to_be_bytes());
            page.iter()
                .for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        }
        let tag = hmac::sign(&self.key, &out);
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// Takes a saved window over. `now` is monotonic, `wall` tells how long the server was down; a wall clock that went
    /// back counts as no time at all.
    ///
    /// # Errors
    /// If the bytes are not a whole saved window.
    pub fn load(saved: &[u8], now: Duration, wall: Timestamp) -> Result<Self, NonceFault> {
        let (body, tag) = saved
            .split_last_chunk::<32>()
            .ok_or(NonceFault::Unreadable)?;
        let mut rest = Reader(body);
        if rest.take::<8>()? != *MAGIC {
            return Err(NonceFault::Unreadable);
        }
        let window = rest.take()?;
        let secret = Zeroizing::new(rest.take::<SECRET>()?);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        hmac::verify(&key, body, tag).map_err(|_| NonceFault::Unreadable)?;
        let next = u64::from_be_bytes(rest.take()?);
        let stopped_minute = u32::from_be_bytes(rest.take()?);
        let stopped_at = Timestamp::from_millis(i64::from_be_bytes(rest.take()?));
        let mut used = Used::default();
        for _ in 0..u32::from_be_bytes(rest.take()?) {
            used.marks.push_back((
                u32::from_be_bytes(rest.take()?),
                u64::from_be_bytes(rest.take()?),
            ));
        }
        while !rest.0.is_empty() {
            let number = u64::from_be_bytes(rest.take()?);
            let mut page = Box::new([0; PAGE_WORDS]);
            for word in page.iter_mut() {
                *word = u64::from_be_bytes(rest.take()?);
            }
            used.pages.insert(number, page);
        }
        let down = minutes(wall.since(stopped_at));
        let base = stopped_minute
            .saturating_add(down)
            .saturating_sub(minutes(now));
        Ok(Self::from_parts(window, secret, base, next, used))
    }

    fn minute(&self, now: Duration) -> u32 {
        self.base.saturating_add(minutes(now))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // A poisoned bitmap is still a bitmap: setting a bit cannot be left half done.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The spent ones. Held for a handful of instructions; the HMAC is made outside.
#[derive(Default)]
struct Used {
    /// By page number; a page exists once one of its nonces was spent, so minting costs no memory.
    pages: BTreeMap<u64, Box<[u64; PAGE_WORDS]>>,
    /// (minute, counter): every nonce below that counter was made in that minute or before.
    marks: VecDeque<(u32, u64)>,
}

impl Used {
    /// Spends a nonce; false if it was spent already.
    fn spend(&mut self, counter: u64, minted: u64, minute: u32) -> bool {
        if self.marks.back().is_none_or(|(last, _)| *last < minute) {
            self.marks.push_back((minute, minted));
            self.retire(minute);
        }
        let page = self
            .pages
            .entry(counter / PAGE_BITS)
            .or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let bit = counter % PAGE_BITS;
        // Always there: the modulus keeps the bit inside the page.
        let Some(word) = usize::try_from(bit / 64)
            .ok()
            .and_then(|at| page.get_mut(at))
        else {
            return false;
        };
        let mask = 1 << (bit % 64);
        let fresh = *word & mask == 0;
        *word |= mask;
        fresh
    }

    /// Drops pages all of whose nonces are too old to pass the check of age; two minutes of grace, because minute and
    /// counter are not drawn in one step.
    fn retire(&mut self, minute: u32) {
        let mut dead = None;
        while let Some((at, counter)) = self.marks.front().copied() {
            if minute.saturating_sub(at) <= LIFE_MINUTES + 2 {
                break;
            }
            dead = Some(counter);
            self.marks.pop_front();
        }
        if let Some(counter) = dead {
            self.pages = self.pages.split_off(&(counter / PAGE_BITS));
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NonceFault> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(NonceFault::Unreadable)?;
        self.0 = rest;
        Ok(*head)
    }
}

fn minutes(span: Duration) -> u32 {
    u32::try_from(span.as_secs() / 60).unwrap_or(u32::MAX)
}

const WINDOW: usize = 6;
const SECRET: usize = 32;
/// Window, 48 bits of counter, 32 bits of minute.
const SEALED: usize = WINDOW + 6 + 4;
/// 128 bits: T-CA-24.
const TAG: usize = 16;
const BYTES: usize = SEALED + TAG;
const COUNTER_MASK: u64 = (1 << 48) - 1;
const LIFE_MINUTES: u32 = 60;
/// 8,192 nonces in 1 KiB.
const PAGE_BITS: u64 = 8192;
const PAGE_WORDS: usize = 128;
const MAGIC: &[u8; 8] = b"cairnNw1";

#[cfg(test)]
mod tests;
