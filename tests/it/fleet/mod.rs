//! `push` and `pull` with a real libSQL server. A test begins with [`sqld::is_missing`], and ends there
//! where there is none:
//!
//! ```ignore
//! if sqld::is_missing() {
//!     return;
//! }
//! let server = Sqld::start();
//! let machines = machines(2, server.address());
//! ```

mod failures;
mod ground;
mod hrana;
mod proxy;
mod site;
mod sqld;
mod token;

use std::net::SocketAddr;

use crate::sandbox::Sandbox;

/// So many machines, each with an empty store, whose remote is this server or proxy.
fn machines(count: usize, remote: SocketAddr) -> Vec<Sandbox> {
    let machine = |_| {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCALSTORE_REMOTE", url(remote));
        sandbox
    };
    (0..count).map(machine).collect()
}

/// The address of a server or a proxy, as `push` and `pull` take it.
fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
