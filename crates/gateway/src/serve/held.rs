//! The bytes of bodies and answers that are held at one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fault::Fault;

/// The most bytes that are held together.
const MOST: usize = 512 << 20;

/// Counts what all requests hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

/// What one request holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    all: Held,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub(crate) fn hold(&self) -> Hold {
        Hold {
            all: self.clone(),
            bytes: 0,
        }
    }
}

impl Hold {
    /// Holds so many bytes more; an error if all hold too many.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Fault> {
        let before = self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > MOST {
            return Err(Fault::overloaded());
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
