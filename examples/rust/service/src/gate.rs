//! Who may enter: the service accepts as many requests as it has memory for, and counts what becomes of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// The right to hold one request's memory. It goes where the memory goes: last to the bytes of the answer.
pub type Slot = OwnedSemaphorePermit;

/// The slots of accepted requests, and the workers that compute.
#[derive(Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    counts: Counts,
}

/// How many requests there were of each fate. `accepted` is `answered`, `left`, and those still under way.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    answered: AtomicU64,
    left: AtomicU64,
    refused: AtomicU64,
}

impl Gate {
    /// A gate for as many requests as `limits` say.
    pub fn new(limits: &Limits) -> Self {
        let workers = usize::from(limits.workers);
        Self {
            slots: Arc::new(Semaphore::new(workers + usize::from(limits.queue))),
            workers: Arc::new(Semaphore::new(workers)),
            counts: Counts::default(),
        }
    }

    /// Accept a request, or none while all slots are taken.
    pub fn enter(self: &Arc<Self>) -> Option<(Ticket, Slot)> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket {
            gate: Arc::clone(self),
            stop: Arc::default(),
            answered: false,
        };
        Some((ticket, slot))
    }

    /// Wait in turn for a worker.
    pub async fn worker(&self) -> OwnedSemaphorePermit {
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        worker.expect("the semaphore is never closed")
    }

    /// The counts in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "subquad_accepted_total {}\nsubquad_answered_total {}\nsubquad_left_total {}\nsubquad_refused_total {}\n\
             subquad_free_slots {}\nsubquad_free_workers {}\n",
            count(&self.counts.accepted),
            count(&self.counts.answered),
            count(&self.counts.left),
            count(&self.counts.refused),
            self.slots.available_permits(),
            self.workers.available_permits(),
        )
    }
}

/// An accepted request. When it is dropped, because it was answered, took too long, or its client left, its computation ends.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    stop: Arc<AtomicBool>,
    answered: bool,
}

impl Ticket {
    /// What the computation asks whether to go on: true means no.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// There is an answer to send.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let counts = &self.gate.counts;
        let fate = if self.answered {
            &counts.answered
        } else {
            &counts.left
        };
        fate.fetch_add(1, Ordering::Relaxed);
    }
}
