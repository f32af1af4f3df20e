//! The rooms of the store. Each is registered here: its tables with their migrations, and what
//! checks its rows.

#[cfg(feature = "serve")]
use base::printable;

#[cfg(feature = "serve")]
use crate::store::Finding;
use crate::store::{self, CheckedRoom};

pub(crate) const ROOMS: &[CheckedRoom] = &[
    (&store::RESULTS, store::results),
    // The rows are an index of files, which 'trace verify' checks.
    (&traces::ROOM, |_, _, _| Ok(())),
    #[cfg(feature = "serve")]
    (&gateway::ROOM, |db, watch, _| {
        gateway::check(db, &mut |problem| {
            (watch.found)(Finding::new(printable(&problem.place), problem.what));
        })
    }),
];
