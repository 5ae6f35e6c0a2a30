//! What the resolver knows of one DNS server: its sockets and its manners.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::counters::Counters;
use super::dns_channel::Channel;

/// A DNS server with its sockets.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) channels: Mutex<Vec<Arc<Channel>>>,
    next: AtomicUsize,
    /// Set by an unanswered query, cleared by an answer.
    pub(super) silent: AtomicUsize,
    /// The usual time to an answer in microseconds; 0 before the first.
    round_trip: AtomicU32,
}

impl Server {
    /// Smooths the time to an answer as TCP does (RFC 6298).
    pub(super) fn learn(&self, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let before = self.round_trip.load(Ordering::Relaxed);
        let usual = if before == 0 {
            took
        } else {
            before - before / 8 + took / 8
        };
        self.round_trip.store(usual.max(1), Ordering::Relaxed);
    }

    /// How long to wait for an answer before asking again: soon where answers come fast, because
    /// then a late one is a lost one (speed.md pitfall 4), and longer each time.
    pub(super) fn patience(&self, turn: usize, longest: Duration) -> Duration {
        let usual = self.round_trip.load(Ordering::Relaxed);
        if usual == 0 {
            return longest;
        }
        let wait = Duration::from_micros(u64::from(usual).saturating_mul(8)).max(EARLIEST);
        wait.saturating_mul(1 << turn.min(8)).min(longest)
    }

    /// Gives a socket, the next in turn.
    pub(super) fn channel(&self, counters: &Arc<Counters>) -> std::io::Result<Arc<Channel>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % CHANNELS;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        match channels.get_mut(turn) {
            Some(channel) if !channel.is_worn() => Ok(Arc::clone(channel)),
            Some(channel) => {
                *channel = Channel::open(self.address, Arc::clone(counters))?;
                Ok(Arc::clone(channel))
            }
            None => {
                let channel = Channel::open(self.address, Arc::clone(counters))?;
                channels.push(Arc::clone(&channel));
                Ok(channel)
            }
        }
    }
}

pub(super) fn servers(addresses: &[SocketAddr]) -> Vec<Arc<Server>> {
    addresses
        .iter()
        .map(|address| {
            Arc::new(Server {
                address: *address,
                channels: Mutex::default(),
                next: AtomicUsize::new(0),
                silent: AtomicUsize::new(0),
                round_trip: AtomicU32::new(0),
            })
        })
        .collect()
}

/// Sockets for each server.
pub(super) const CHANNELS: usize = 4;
/// No query is sent again sooner than this.
const EARLIEST: Duration = Duration::from_millis(100);
