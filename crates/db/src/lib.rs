//! The SQLite file that all rooms share: opening, locking, migrations room by room, backup,
//! integrity. No SQL of a room is here.

#![forbid(unsafe_code)]

pub mod foreign;
pub mod integrity;

mod backup;
mod database;
mod error;
mod location;
mod room;

pub use database::Database;
pub use error::{Error, Result, SAVE, failure, is_about_a_value, reason, refused};
pub use location::{DEFAULT_STARTUP_SQL, Location, refuse_logs_beside};
pub use room::{Room, Schema, View, inspect, migrate, missing_tables, missing_views, refuse};
