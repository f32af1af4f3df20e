//! The rooms of the store. Each is registered here: its tables with their migrations, and what
//! checks its rows.

use crate::store::{self, CheckedRoom};

pub(crate) const ROOMS: &[CheckedRoom] = &[
    (&store::RESULTS, store::results),
    // The rows are an index of files, which 'trace verify' checks.
    (&traces::ROOM, |_, _, _| Ok(())),
    #[cfg(feature = "serve")]
    (&gateway::ROOM, |_, _, _| Ok(())),
];
