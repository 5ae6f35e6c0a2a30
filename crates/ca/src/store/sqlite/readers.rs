//! Connections that read beside the writer: a few for the quick look-ups of requests, one for operators' long lists.

use std::{
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
};

use rusqlite::Connection;

use super::{OpenError, code::Fault, connect};
use crate::store::StoreError;

/// The pool.
pub(super) struct Readers {
    idle: Mutex<Idle>,
    returned: Condvar,
    /// Apart, so that a list never takes a request's connection.
    long: Mutex<Option<Connection>>,
}

struct Idle {
    connections: Vec<Connection>,
    closed: bool,
}

impl Readers {
    pub(super) fn open(path: &Path, connections: usize) -> Result<Self, OpenError> {
        let open = || connect::reader(path);
        let connections = (0..connections.max(1))
            .map(|_| open())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            idle: Mutex::new(Idle {
                connections,
                closed: false,
            }),
            returned: Condvar::new(),
            long: Mutex::new(Some(open()?)),
        })
    }

    /// Runs a look-up by key on a connection of the pool, on this thread: it takes microseconds.
    pub(super) fn quick<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let conn = {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let mut idle = self
                .returned
                .wait_while(idle, |i| i.connections.is_empty() && !i.closed)
                .unwrap_or_else(PoisonError::into_inner);
            if idle.closed {
                return Err(StoreError::Closed);
            }
            idle.connections.pop().ok_or(StoreError::Closed)?
        };
        let lease = Lease {
            readers: self,
            conn: Some(conn),
        };
        let conn = lease.conn.as_ref().ok_or(StoreError::Closed)?;
        read(conn).map_err(StoreError::from)
    }

    /// Runs a list; may take long, so call it where threads may block.
    pub(super) fn long<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let long = self.long.lock().unwrap_or_else(PoisonError::into_inner);
        read(long.as_ref().ok_or(StoreError::Closed)?).map_err(StoreError::from)
    }

    /// Closes all; those who still read finish.
    pub(super) fn close(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.closed = true;
        idle.connections.clear();
        self.returned.notify_all();
        drop(idle);
        self.long
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// A connection out of the pool; goes back however the look-up ends.
struct Lease<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut idle = self
            .readers
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !idle.closed {
            idle.connections.extend(self.conn.take());
            self.readers.returned.notify_one();
        }
    }
}
