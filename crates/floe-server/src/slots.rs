//! So many at once in all, and so many of one organization: for requests that go on for long and
//! hold something meanwhile.
//!
//! Without a share for each organization, one whose clients are slow would keep all others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_core::OrganizationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

/// Whose a slot is: an organization's, or of calls with the root token that name none.
type Holder = Option<OrganizationId>;

/// What part of all slots one organization may have. With a quarter, three of them that take all
/// they can leave a fourth as much as each of them has, and one alone still has more than enough to
/// keep disk and processors busy.
const PART: usize = 4;

/// Slots of one kind, in the order in which they are asked for.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Semaphore,
    /// How many of them one organization may have.
    share: usize,
    shares: Mutex<BTreeMap<Holder, Share>>,
    /// What is answered if others have all slots, and if the organization has its share of them.
    none_left: &'static str,
    share_taken: &'static str,
}

/// What is left of an organization's share.
#[derive(Debug)]
struct Share {
    left: Arc<Semaphore>,
    /// How many have a slot of it, or wait for one.
    users: usize,
}

/// A slot, which others may have once this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    // In this order: who gets a part of the share for this slot finds it free.
    _of_all: SemaphorePermit<'static>,
    _of_share: User,
}

/// One who has a slot of a share, or waits for one.
#[derive(Debug)]
struct User {
    slots: &'static Slots,
    holder: Holder,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many slots, and what is answered if there is none left and if an organization has its
    /// share.
    pub(crate) const fn new(
        all: usize,
        none_left: &'static str,
        share_taken: &'static str,
    ) -> Self {
        Self {
            all: Semaphore::const_new(all),
            share: all.div_ceil(PART),
            shares: Mutex::new(BTreeMap::new()),
            none_left,
            share_taken,
        }
    }

    /// A slot, as soon as there is one. Those who wait since their organization has its share are
    /// in nobody else's way.
    ///
    /// # Errors
    ///
    /// There was none for that long.
    pub(crate) async fn take(
        &'static self,
        holder: Holder,
        wait_max: Duration,
    ) -> Result<Slot, ApiError> {
        let until = Instant::now() + wait_max;
        let (mut user, left) = self.enter(holder);
        // Neither semaphore is ever closed.
        let Ok(Ok(permit)) = timeout_at(until, left.acquire_owned()).await else {
            return Err(ApiError::Busy(self.share_taken));
        };
        user.permit = Some(permit);
        let Ok(Ok(permit)) = timeout_at(until, self.all.acquire()).await else {
            return Err(ApiError::Busy(self.none_left));
        };
        Ok(Slot { _of_all: permit, _of_share: user })
    }

    fn enter(&'static self, holder: Holder) -> (User, Arc<Semaphore>) {
        let mut shares = self.shares();
        let share = shares
            .entry(holder)
            .or_insert_with(|| Share { left: Arc::new(Semaphore::new(self.share)), users: 0 });
        share.users += 1;
        (User { slots: self, holder, permit: None }, Arc::clone(&share.left))
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<Holder, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.permit = None;
        let mut shares = self.slots.shares();
        // A share that nobody uses is as good as new.
        if let Some(share) = shares.get_mut(&self.holder) {
            share.users -= 1;
            if share.users == 0 {
                shares.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn slots(all: usize) -> &'static Slots {
        Box::leak(Box::new(Slots::new(all, "none left", "share taken")))
    }

    fn organization(n: u128) -> Holder {
        Some(OrganizationId(uuid::Uuid::from_u128(n)))
    }

    /// Takes what is free at once.
    async fn take(slots: &'static Slots, holder: Holder) -> Result<Slot, &'static str> {
        slots.take(holder, Duration::ZERO).await.map_err(|error| match error {
            ApiError::Busy(text) => text,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test]
    async fn one_organization_has_a_quarter_and_the_root_token_one_of_its_own() {
        let slots = slots(8);
        let mut held = Vec::new();
        for holder in [organization(1), None, organization(2), organization(3)] {
            held.push(take(slots, holder).await.unwrap());
            held.push(take(slots, holder).await.unwrap());
            assert_eq!(take(slots, holder).await.unwrap_err(), "share taken");
        }
        assert_eq!(take(slots, organization(4)).await.unwrap_err(), "none left");
        // One of the first's is given back: for whoever comes.
        held.remove(0);
        held.push(take(slots, organization(4)).await.unwrap());
        assert_eq!(take(slots, organization(1)).await.unwrap_err(), "none left");
        drop(held);
        assert!(slots.shares().is_empty(), "nothing is kept of those who went");
        assert_eq!(slots.all.available_permits(), 8);
    }

    #[tokio::test]
    async fn few_slots_are_one_for_each() {
        let slots = slots(2);
        let _first = take(slots, organization(1)).await.unwrap();
        assert_eq!(take(slots, organization(1)).await.unwrap_err(), "share taken");
        let _second = take(slots, organization(2)).await.unwrap();
    }

    #[tokio::test]
    async fn those_who_wait_for_their_share_are_in_nobodys_way() {
        let slots = slots(8);
        let first = take(slots, organization(1)).await.unwrap();
        let _second = take(slots, organization(1)).await.unwrap();
        let waits = tokio::spawn(slots.take(organization(1), LONG));
        let gives_up = tokio::spawn(slots.take(organization(1), LONG));
        tokio::task::yield_now().await;
        let mut others = Vec::new();
        for holder in [2, 2, 3, 3].map(organization) {
            others.push(take(slots, holder).await.unwrap());
        }
        // One who went away while waiting gets nothing.
        gives_up.abort();
        assert!(gives_up.await.unwrap_err().is_cancelled());
        drop(first);
        let third = waits.await.unwrap().unwrap();
        assert_eq!(take(slots, organization(1)).await.unwrap_err(), "share taken");
        drop(third);
        let _fourth = take(slots, organization(1)).await.unwrap();
    }

    #[tokio::test]
    async fn who_got_none_leaves_nothing_behind() {
        let slots = slots(2);
        let held = [take(slots, organization(1)).await, take(slots, organization(2)).await];
        for _ in 0..3 {
            assert_eq!(take(slots, organization(1)).await.unwrap_err(), "share taken");
            assert_eq!(take(slots, organization(3)).await.unwrap_err(), "none left");
        }
        assert_eq!(slots.shares().len(), 2);
        drop(held);
        let _first = take(slots, organization(3)).await.unwrap();
    }
}
