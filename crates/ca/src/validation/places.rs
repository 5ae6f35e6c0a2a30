//! How many attempts run at once: in all, and of one account, so that an account whose hosts hang makes nobody wait but
//! itself (T-CA-116).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::id::AccountId;

/// One account may take this part of all places.
const SHARE: usize = 8;

/// The places, each for one attempt.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    accounts: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// A taken place; it is free again when this is dropped. The account's entry goes with its last attempt.
pub(super) struct Place<'a> {
    places: &'a Places,
    account: AccountId,
    /// None only while it waits.
    taken: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_one: (all / SHARE).max(1),
            accounts: Mutex::default(),
        }
    }

    /// Waits for a place, first among the account's own attempts and then among all. Who stops waiting leaves nothing.
    pub(super) async fn take(&self, account: AccountId) -> Place<'_> {
        let own = Arc::clone(
            self.accounts()
                .entry(account)
                .or_insert_with(|| Arc::new(Semaphore::new(self.of_one))),
        );
        // Made before it waits, so that its end looks after the account's entry.
        let mut place = Place {
            places: self,
            account,
            taken: None,
        };
        // Nobody closes these two.
        if let Ok(own) = own.acquire_owned().await
            && let Ok(any) = Arc::clone(&self.all).acquire_owned().await
        {
            place.taken = Some((own, any));
        }
        place
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Semaphore>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.taken = None;
        let mut accounts = self.places.accounts();
        // Permits and whoever waits for one hold the semaphore too.
        if accounts
            .get(&self.account)
            .is_some_and(|own| Arc::strong_count(own) == 1)
        {
            accounts.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::from_bytes([n; 16])
    }

    /// The place, if it is there at once.
    async fn at_once(places: &Places, n: u8) -> Option<Place<'_>> {
        let mut take = pin!(places.take(account(n)));
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match take.as_mut().poll(cx) {
                std::task::Poll::Ready(place) => Some(place),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn an_account_takes_its_part_of_the_places_and_leaves_the_others_to_others() {
        // T-CA-116
        let places = Places::new(16);
        let mut taken = Vec::new();
        for _ in 0..2 {
            taken.push(at_once(&places, 1).await.unwrap());
        }
        assert!(at_once(&places, 1).await.is_none(), "its part is taken");
        for n in 2..9 {
            taken.push(at_once(&places, n).await.unwrap());
            taken.push(at_once(&places, n).await.unwrap());
        }
        assert!(at_once(&places, 9).await.is_none(), "all are taken");
        taken.remove(0);
        assert!(at_once(&places, 9).await.is_some());
        taken.clear();
        assert!(places.accounts().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_place_that_becomes_free() {
        let places = Places::new(1);
        let first = at_once(&places, 1).await.unwrap();
        let mut waiting = pin!(places.take(account(1)));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("two have the one place"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        drop(waiting.await);
        assert!(places.accounts().is_empty());
    }
}
