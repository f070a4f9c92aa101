//! One connection, with the phase that tells which side waits for the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use ipnet::IpNet;
use poem::{Addr, web::LocalAddr};
use tokio::sync::watch;

/// The time after its opening or its last response during which a connection is closed only after all that have waited for
/// longer.
const RECENT: Duration = Duration::from_secs(2);

/// An open connection.
pub struct Connection {
    pub id: u64,
    /// The network to whose share the connection counts; `None` for an address without a limit.
    pub network: Option<IpNet>,
    /// Whether the connection is reserved for health checks.
    pub is_reserved: bool,
    started: Instant,
    /// A [`Phase`] in the highest bits, and the microseconds after `started` at which it began.
    phase: AtomicU64,
    has_unread: AtomicBool,
    /// Whether the connection is an event stream.
    is_streaming: AtomicBool,
    /// Whether the connection carries several requests at once (HTTP/2). Its phase is then that of the last event of any of them.
    is_multiplexed: AtomicBool,
    /// The number of requests that have no response yet.
    under_way: AtomicUsize,
    closing: AtomicWaker,
    disconnected: watch::Sender<bool>,
}

/// Counts a request as under way until it is dropped.
pub struct RequestGuard(Arc<Connection>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The phase of a connection: which side waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No request has been received, or its head only in part.
    Idle,
    /// The head of a request has been received; its body is still to come.
    Receiving,
    /// The request is being executed, or its response is being written.
    Working,
    /// The peer does not read its response.
    Sending,
    /// The connection is being closed to make room.
    Closing,
}

const PHASE_SHIFT: u32 = 60;

impl Phase {
    const ALL: [Self; 5] = [Self::Idle, Self::Receiving, Self::Working, Self::Sending, Self::Closing];

    fn from_word(word: u64) -> Self {
        let number = word >> PHASE_SHIFT;
        Self::ALL.into_iter().find(|phase| *phase as u64 == number).unwrap_or(Self::Closing)
    }

    /// Returns the word that stores this phase and the time at which it began.
    pub fn since(self, microseconds: u64) -> u64 {
        ((self as u64) << PHASE_SHIFT) | microseconds
    }
}

impl Connection {
    pub fn new(id: u64, network: Option<IpNet>, is_reserved: bool, started: Instant) -> Self {
        Self {
            id,
            network,
            is_reserved,
            started,
            phase: AtomicU64::new(Phase::Idle.since(microseconds(started))),
            has_unread: AtomicBool::new(false),
            is_streaming: AtomicBool::new(false),
            is_multiplexed: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            closing: AtomicWaker::new(),
            disconnected: watch::Sender::new(false),
        }
    }

    /// Returns the position of the connection in the closing order, lowest first, and the phase for which it was computed. `None`
    /// if the connection must not be closed.
    pub fn closing_order(&self, now: u64) -> Option<(ClosingOrder, u64)> {
        let word = self.phase.load(Ordering::Acquire);
        if self.is_multiplexed() && self.under_way.load(Ordering::Acquire) > 0 {
            return None;
        }
        let (is_recent, is_under_way, since) = closing_order(word, now)?;
        // Between two events, a stream is under way although both sides wait.
        let is_under_way = is_under_way || self.is_streaming.load(Ordering::Acquire);
        Some(((is_recent, is_under_way, since), word))
    }

    /// Returns the address by which a request finds its connection, in place of the local address.
    pub fn address(&self) -> LocalAddr {
        LocalAddr(Addr::Custom("connection", self.id.to_string().into()))
    }

    pub fn phase(&self) -> Phase {
        Phase::from_word(self.phase.load(Ordering::Acquire))
    }

    /// Returns whether the peer may speak HTTP/2. Only peers that are exempt from the limit per address, the trusted proxies, may:
    /// one connection stands for as many requests as there are streams.
    pub fn may_multiplex(&self) -> bool {
        self.network.is_none() && !self.is_reserved
    }

    /// Records that the peer speaks HTTP/2; returns `false` if it may not.
    pub fn multiplex(&self) -> bool {
        let may_multiplex = self.may_multiplex();
        self.is_multiplexed.store(may_multiplex, Ordering::Release);
        self.has_unread.store(false, Ordering::Release);
        may_multiplex
    }

    pub fn is_multiplexed(&self) -> bool {
        self.is_multiplexed.load(Ordering::Acquire)
    }

    /// Counts a request as under way until the guard is dropped.
    pub fn count_request(self: &Arc<Self>) -> RequestGuard {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        RequestGuard(Arc::clone(self))
    }

    /// Records that bytes have arrived; returns `false` if the connection is being closed.
    pub fn bytes_read(&self) -> bool {
        self.has_unread.store(!self.is_multiplexed(), Ordering::Release);
        self.enter(Phase::Idle, |phase| phase == Phase::Idle)
    }

    /// Records that the head of a request has arrived; returns `false` if the connection is being closed.
    pub fn request_started(&self, has_body: bool) -> bool {
        if self.is_multiplexed() {
            return self.enter(Phase::Working, |_| true);
        }
        self.has_unread.store(has_body, Ordering::Release);
        self.is_streaming.store(false, Ordering::Release);
        self.enter(if has_body { Phase::Receiving } else { Phase::Working }, |_| true)
    }

    /// Records that the whole body of the request has arrived.
    pub fn body_received(&self) {
        self.has_unread.store(false, Ordering::Release);
        self.enter(Phase::Working, |phase| phase == Phase::Receiving);
    }

    /// Records that the request has a response, which is still to be written.
    pub fn response_ready(&self) {
        self.enter(Phase::Working, |_| true);
    }

    /// Records that the response is an event stream, or that the connection has changed to a socket.
    pub fn stream_started(&self) {
        self.is_streaming.store(true, Ordering::Release);
    }

    /// Records that everything has been written.
    pub fn bytes_written(&self) {
        self.enter(Phase::Idle, |phase| matches!(phase, Phase::Working | Phase::Sending));
    }

    /// Records that a write has to wait for the peer.
    pub fn write_blocked(&self) {
        self.enter(Phase::Sending, |phase| phase == Phase::Working);
    }

    /// Returns whether the peer may still be sending bytes that will not be read.
    pub fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Acquire)
    }

    /// Records that the peer has disconnected.
    pub fn peer_gone(&self) {
        self.disconnected.send_replace(true);
    }

    /// Returns a future that resolves when the peer has disconnected.
    pub fn disconnected(&self) -> impl Future<Output = ()> + use<> {
        let mut disconnected = self.disconnected.subscribe();
        async move {
            // Fails if the connection is dropped, because nothing is sent after that.
            let _ = disconnected.wait_for(|is_gone| *is_gone).await;
        }
    }

    /// Returns ready when the connection is being closed.
    pub fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        self.closing.register(cx.waker());
        if self.phase() == Phase::Closing { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Enters a phase if `may_leave` returns `true` for the current one; returns `false` if the connection is being closed.
    fn enter(&self, phase: Phase, may_leave: impl Fn(Phase) -> bool) -> bool {
        let next = phase.since(microseconds(self.started));
        let entered = self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let now = Phase::from_word(word);
            (now != Phase::Closing && may_leave(now)).then_some(next)
        });
        entered.map_or_else(|word| Phase::from_word(word) != Phase::Closing, |_| true)
    }

    /// Closes the connection unless its phase has changed since `observed`; returns whether it was closed.
    pub fn close(&self, observed: u64, now: u64) -> bool {
        let closing = Phase::Closing.since(now);
        let is_closed = self.phase.compare_exchange(observed, closing, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_closed {
            // End the request that is still running, so that the task of the connection notices that it is closed.
            self.peer_gone();
            self.closing.take().into_iter().for_each(Waker::wake);
        }
        is_closed
    }
}

/// Whether the phase is recent, whether a request is under way, and the time since which the server waits for the peer.
type ClosingOrder = (bool, bool, u64);

/// Returns the position of a connection in the closing order, lowest first; `None` if it must not be closed.
pub fn closing_order(word: u64, now: u64) -> Option<ClosingOrder> {
    let phase = Phase::from_word(word);
    let since = word ^ phase.since(0);
    let is_recent = Duration::from_micros(now.saturating_sub(since)) < RECENT;
    match phase {
        Phase::Idle => Some((is_recent, false, since)),
        Phase::Receiving | Phase::Sending => Some((is_recent, true, since)),
        Phase::Working | Phase::Closing => None,
    }
}

/// Returns the microseconds since a moment.
pub fn microseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
