//! One connection: who waits for whom on it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use ipnet::IpNet;
use poem::{Addr, web::LocalAddr};
use tokio::sync::watch;

/// What has just been opened or answered is closed only after everything that has waited for longer.
const RECENT: Duration = Duration::from_secs(2);

/// An open connection.
pub struct Connection {
    pub id: u64,
    /// Whose share it counts to; none for an address without a limit.
    pub network: Option<IpNet>,
    /// Nothing but health is answered on it.
    pub is_reserved: bool,
    started: Instant,
    /// A [`Phase`] in the highest bits, and the microseconds after `started` at which it began.
    phase: AtomicU64,
    has_unread: AtomicBool,
    closing: AtomicWaker,
    disconnected: watch::Sender<bool>,
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No request has been received, or its head only in part.
    Idle,
    /// The head of a request has been received, and its body is still to come.
    Receiving,
    /// The request is being worked on, or its answer is being written.
    Working,
    /// The peer does not read its answer.
    Sending,
    /// It has to make room.
    Closing,
}

const PHASE_SHIFT: u32 = 60;

impl Phase {
    const ALL: [Self; 5] = [Self::Idle, Self::Receiving, Self::Working, Self::Sending, Self::Closing];

    fn of(word: u64) -> Self {
        let number = word >> PHASE_SHIFT;
        Self::ALL.into_iter().find(|phase| *phase as u64 == number).unwrap_or(Self::Closing)
    }

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
            closing: AtomicWaker::new(),
            disconnected: watch::Sender::new(false),
        }
    }

    /// Its place among the connections that may be closed, with what it was when that was found out; the first goes first.
    /// None if it may not be closed.
    pub fn closing_order(&self, now: u64) -> Option<(ClosingOrder, u64)> {
        let word = self.phase.load(Ordering::Acquire);
        Some((closing_order(word, now)?, word))
    }

    /// In whose stead the local address tells a request its connection.
    pub fn address(&self) -> LocalAddr {
        LocalAddr(Addr::Custom("connection", self.id.to_string().into()))
    }

    pub fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Acquire))
    }

    /// Bytes have come in; false if the connection has to make room.
    pub fn bytes_read(&self) -> bool {
        self.has_unread.store(true, Ordering::Release);
        self.enter(Phase::Idle, |phase| phase == Phase::Idle)
    }

    /// The head of a request has come in; false if the connection has to make room.
    pub fn request_begun(&self, has_body: bool) -> bool {
        self.has_unread.store(has_body, Ordering::Release);
        self.enter(if has_body { Phase::Receiving } else { Phase::Working }, |_| true)
    }

    /// The body of the request has come in to its end.
    pub fn body_received(&self) {
        self.has_unread.store(false, Ordering::Release);
        self.enter(Phase::Working, |phase| phase == Phase::Receiving);
    }

    /// The request has its answer, which is still to be written.
    pub fn answered(&self) {
        self.enter(Phase::Working, |_| true);
    }

    /// What was to be written has been.
    pub fn bytes_written(&self) {
        self.enter(Phase::Idle, |phase| matches!(phase, Phase::Working | Phase::Sending));
    }

    /// A write has to wait for the peer.
    pub fn write_blocked(&self) {
        self.enter(Phase::Sending, |phase| phase == Phase::Working);
    }

    /// Whether the peer may still be sending what nobody will read.
    pub fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Acquire)
    }

    /// The peer has gone.
    pub fn peer_gone(&self) {
        self.disconnected.send_replace(true);
    }

    /// Resolves when the peer has gone.
    pub fn disconnected(&self) -> impl Future<Output = ()> + use<> {
        let mut disconnected = self.disconnected.subscribe();
        async move {
            // Nobody sends any more once the connection is dropped.
            let _ = disconnected.wait_for(|is_gone| *is_gone).await;
        }
    }

    /// Ready when the connection has to make room.
    pub fn poll_closing(&self, cx: &Context<'_>) -> Poll<()> {
        self.closing.register(cx.waker());
        if self.phase() == Phase::Closing { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Enters a phase from those that are `left` for it; false if the connection has to make room.
    fn enter(&self, phase: Phase, is_left: impl Fn(Phase) -> bool) -> bool {
        let next = phase.since(microseconds(self.started));
        let entered = self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let now = Phase::of(word);
            (now != Phase::Closing && is_left(now)).then_some(next)
        });
        entered.map_or_else(|word| Phase::of(word) != Phase::Closing, |_| true)
    }

    /// Closes the connection, unless it is no longer as it was seen.
    pub fn close(&self, seen: u64, now: u64) -> bool {
        let closing = Phase::Closing.since(now);
        let is_closed = self.phase.compare_exchange(seen, closing, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_closed {
            // Whatever still runs for it ends, so that its task comes to see that it is closed.
            self.peer_gone();
            self.closing.take().into_iter().for_each(Waker::wake);
        }
        is_closed
    }
}

/// Whether it is recent, whether a request is under way, and since when the peer is waited for.
type ClosingOrder = (bool, bool, u64);

/// The place of a connection among those that may be closed, the first first; none if it may not.
pub fn closing_order(word: u64, now: u64) -> Option<ClosingOrder> {
    let phase = Phase::of(word);
    let since = word ^ phase.since(0);
    let is_recent = Duration::from_micros(now.saturating_sub(since)) < RECENT;
    match phase {
        Phase::Idle => Some((is_recent, false, since)),
        Phase::Receiving | Phase::Sending => Some((is_recent, true, since)),
        Phase::Working | Phase::Closing => None,
    }
}

/// The microseconds since a moment.
pub fn microseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
