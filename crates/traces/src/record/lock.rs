//! One recorder a trajectory.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::time::Duration;

use base::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::place::{self, Folder, private_file};

/// How often a lock is tried that another process has. A program that a killed recorder was about to start
/// has it for a moment.
const TRIES: u32 = 50;

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// What a repair has to know of a run that was killed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Goals {
    /// The suites that must pass.
    pub(super) require: Vec<String>,
    /// The number of parts at which the agent is stopped; 0: none.
    pub(super) max_parts: u64,
    /// The agent, if it was named.
    pub(super) agent: Option<String>,
}

/// Held while a trajectory is recorded or repaired, at most until the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    folder: Folder,
    file: File,
    /// Those of the run that was killed and left the file.
    pub(super) left: Option<Goals>,
}

impl Lock {
    /// Takes the lock of a trajectory; an error if another process has it.
    pub(crate) fn take(folder: &Folder) -> Result<Self> {
        let path = folder.lock();
        let failed = |error: io::Error| Error::file(&path, &error);
        // Whoever held the lock before may have removed the file meanwhile.
        for _ in 0..TRIES {
            let file = private_file(&path, false).map_err(failed)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                // A file system without locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            if base::is_at(&file, &path) {
                let text = std::fs::read(&path).map_err(failed)?;
                return Ok(Self {
                    folder: folder.clone(),
                    file,
                    left: serde_json::from_slice(&text).ok(),
                });
            }
        }
        Err(Error::new(&folder.id, "it is being recorded"))
    }

    /// Leaves the goals for a repair.
    pub(super) fn leave(&mut self, goals: &Goals) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(&serde_json::to_vec(goals)?)
    }

    /// Gives the lock back when everything is complete. Otherwise the file stays for a repair.
    pub(super) fn release(self) {
        let _ = std::fs::remove_file(self.folder.lock());
    }
}

/// Whether the trajectory is being recorded or repaired.
pub(crate) fn is_recorded(folder: &Folder) -> bool {
    let Ok(file) = place::open(&folder.lock()) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The same, but not for the moment in which a recorder that was killed still has the lock.
pub(crate) fn is_surely_recorded(folder: &Folder) -> bool {
    (0..TRIES).all(|_| {
        let is_recorded = is_recorded(folder);
        if is_recorded {
            std::thread::sleep(PAUSE);
        }
        is_recorded
    })
}
