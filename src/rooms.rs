//! The rooms of the store. Each is registered here: its tables with their migrations, and what
//! checks its rows.

use crate::store::{self, CheckedRoom};

pub(crate) const ROOMS: &[CheckedRoom] = &[(&store::RESULTS, store::results)];
