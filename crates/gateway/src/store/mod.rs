//! The tables of this room.

pub(crate) mod agents;
pub(crate) mod backends;
mod check;
pub(crate) mod keys;
pub(crate) mod requests;

use db::Room;

pub use check::{Problem, check};

/// The tables of this room.
pub static ROOM: Room = Room {
    name: "gateway",
    version_key: "localstore.schema_version.gateway",
    table: "localstore_gateway_backends",
    migrations: &[include_str!("../schema/0001_gateway.sql")],
    signs: &[],
};
