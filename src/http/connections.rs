//! The registry of open connections: limits them in total and for each network address, and chooses the connection that is closed
//! to make room for another.
//!
//! A connection may be closed while the server waits for the peer, but never while the peer waits for the server. If an address
//! has used up its share, one of its own connections is closed. Beyond the limit, a few connections are reserved for health
//! checks only.

mod connection;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ipnet::IpNet;
use poem::{Addr, Request};
use prometheus_client::metrics::counter::Counter;

use self::connection::microseconds;
pub use self::connection::{Connection, Phase, RequestGuard};
use super::body;
use crate::client::client_network;
use crate::repeated::Repeated;

/// Number of connections beyond the limit, for health checks only.
pub const RESERVED: usize = 32;
const RESERVED_PER_ADDRESS: usize = 8;

/// The limits on open connections.
#[derive(Clone, Debug)]
pub struct Limits {
    pub max: usize,
    /// Maximum number of connections from one IPv4 address or one /64 of IPv6.
    pub max_per_address: usize,
    /// The networks to which the limit per address does not apply.
    pub exempt: Vec<IpNet>,
}

/// The open connections of a server; cheap to clone.
#[derive(Clone)]
pub struct ConnectionRegistry {
    limits: Arc<Limits>,
    state: Arc<Mutex<State>>,
    started: Instant,
}

struct State {
    open: HashMap<u64, Arc<Connection>>,
    last_id: u64,
    general: Pool,
    reserved: Pool,
    closed_for_room: Counter,
    warnings: Repeated,
}

/// A number of slots for connections, and their use by each address.
struct Pool {
    max: usize,
    max_per_address: usize,
    used: usize,
    per_address: HashMap<IpNet, usize>,
}

impl ConnectionRegistry {
    /// Creates a registry that counts the connections that are closed to make room.
    pub fn new(limits: Limits, closed_for_room: Counter) -> Self {
        let pool = |max, max_per_address| Pool { max, max_per_address, used: 0, per_address: HashMap::new() };
        let state = State {
            open: HashMap::new(),
            last_id: 0,
            general: pool(limits.max, limits.max_per_address),
            reserved: pool(RESERVED, RESERVED_PER_ADDRESS),
            closed_for_room,
            warnings: Repeated::new(),
        };
        Self { limits: Arc::new(limits), state: Arc::new(Mutex::new(state)), started: Instant::now() }
    }

    /// Registers a connection from an address, or through the Unix socket, and closes another one if that makes room. Returns
    /// `None` if there is no room: every connection that it could replace is executing a request.
    pub fn admit(&self, peer: Option<IpAddr>) -> Option<Arc<Connection>> {
        let network = peer.and_then(|peer| self.limited_network(peer));
        let now = microseconds(self.started);
        let mut state = self.lock();
        let is_reserved = !state.make_room(false, network, now);
        if is_reserved && !state.make_room(true, network, now) {
            return None;
        }
        state.last_id = state.last_id.wrapping_add(1);
        let connection = Arc::new(Connection::new(state.last_id, network, is_reserved, self.started));
        state.pool(is_reserved).acquire(network);
        state.open.insert(connection.id, Arc::clone(&connection));
        Some(connection)
    }

    /// Closes the connection that has kept the server waiting for the longest time; returns whether there was one.
    pub fn close_one(&self) -> bool {
        self.lock().close_one(|_| true, microseconds(self.started))
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, connection: &Connection) {
        connection.peer_gone();
        let mut state = self.lock();
        if state.open.remove(&connection.id).is_some() && connection.phase() != Phase::Closing {
            state.pool(connection.is_reserved).release(connection.network);
        }
    }

    /// Returns the connection of a request, which is under way until the guard is dropped; `None` if the connection is being closed.
    pub fn begin_request(&self, request: &Request) -> Option<(Arc<Connection>, RequestGuard)> {
        let connection = self.connection_of(request)?;
        let under_way = connection.count_request();
        let has_body = body::is_announced(request.headers());
        connection.request_started(has_body).then_some((connection, under_way))
    }

    fn connection_of(&self, request: &Request) -> Option<Arc<Connection>> {
        match &**request.local_addr() {
            Addr::Custom(_, id) => self.lock().open.get(&id.parse().ok()?).cloned(),
            _ => None,
        }
    }

    /// Returns the network as which the limit per address counts a peer; `None` if the limit does not apply.
    fn limited_network(&self, peer: IpAddr) -> Option<IpNet> {
        let peer = peer.to_canonical();
        if self.limits.exempt.iter().any(|network| network.contains(&peer)) {
            return None;
        }
        Some(client_network(peer))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pool(&mut self, is_reserved: bool) -> &mut Pool {
        if is_reserved { &mut self.reserved } else { &mut self.general }
    }

    /// Makes room for a connection in a pool; returns whether there is a free slot.
    fn make_room(&mut self, is_reserved: bool, network: Option<IpNet>, now: u64) -> bool {
        let pool = self.pool(is_reserved);
        let has_share_left = !pool.is_exhausted_for(network);
        if has_share_left && pool.used < pool.max {
            return true;
        }
        let is_candidate = |connection: &Connection| {
            connection.is_reserved == is_reserved && (has_share_left || connection.network == network)
        };
        self.close_one(is_candidate, now)
    }

    fn close_one(&mut self, is_candidate: impl Fn(&Connection) -> bool, now: u64) -> bool {
        loop {
            let candidates = self.open.values().filter(|connection| is_candidate(connection));
            let ranked = candidates.filter_map(|connection| Some((connection.closing_order(now)?, connection)));
            let Some(((_, observed), connection)) = ranked.min_by_key(|(order, _)| *order) else { return false };
            // Fails if a request has arrived meanwhile.
            if connection.close(observed, now) {
                let connection = Arc::clone(connection);
                self.pool(connection.is_reserved).release(connection.network);
                self.record_closed();
                return true;
            }
        }
    }

    fn record_closed(&mut self) {
        self.closed_for_room.inc();
        if let Some(times) = self.warnings.count() {
            tracing::warn!(connections = self.general.used, times, "closing connections to make room for new ones");
        }
    }
}

impl Pool {
    fn is_exhausted_for(&self, network: Option<IpNet>) -> bool {
        let used = network.and_then(|network| self.per_address.get(&network)).copied().unwrap_or(0);
        network.is_some() && used >= self.max_per_address
    }

    fn acquire(&mut self, network: Option<IpNet>) {
        self.used += 1;
        if let Some(network) = network {
            *self.per_address.entry(network).or_default() += 1;
        }
    }

    fn release(&mut self, network: Option<IpNet>) {
        self.used = self.used.saturating_sub(1);
        let Some(network) = network else { return };
        if let Some(used) = self.per_address.get_mut(&network) {
            *used = used.saturating_sub(1);
            if *used == 0 {
                self.per_address.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests;
