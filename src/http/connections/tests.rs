use super::connection::closing_order;
use super::*;

fn registry(max: usize, max_per_address: usize, exempt: &[&str]) -> ConnectionRegistry {
    let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
    ConnectionRegistry::new(Limits { max, max_per_address, exempt }, Counter::default())
}

fn admit(registry: &ConnectionRegistry, peer: &str) -> Option<Arc<Connection>> {
    registry.admit(Some(peer.parse().unwrap()))
}

#[test]
fn exempt_networks_have_no_share() {
    let registry = registry(10, 5, &["10.0.0.0/8", "2001:db8:f::/48"]);
    for peer in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:f::1"] {
        assert_eq!(registry.limited_network(peer.parse().unwrap()), None, "{peer}");
    }
    for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2::3"] {
        assert!(registry.limited_network(peer.parse().unwrap()).is_some(), "{peer}");
    }
}

#[test]
fn the_connection_that_kept_the_server_waiting_longest_is_closed_first() {
    let now = 10_000_000;
    let mut ranked = [
        (Phase::Idle, 9_900_000),
        (Phase::Receiving, 9_800_000),
        (Phase::Sending, 9_700_000),
        (Phase::Idle, 9_600_000),
        (Phase::Receiving, 1_000),
        (Phase::Idle, 7_000_000),
        (Phase::Idle, 6_000_000),
        (Phase::Working, 0),
        (Phase::Closing, 0),
    ];
    ranked.sort_by_key(|(phase, since)| closing_order(phase.since(*since), now).unwrap_or((true, true, u64::MAX)));
    let sinces = ranked.map(|(_, since)| since);
    assert_eq!(sinces, [6_000_000, 7_000_000, 1_000, 9_600_000, 9_900_000, 9_700_000, 9_800_000, 0, 0]);
    assert_eq!(closing_order(Phase::Working.since(5), now), None);
}

#[test]
fn event_streams_are_closed_after_idle_connections() {
    let registry = registry(2, 2, &[]);
    let stream = admit(&registry, "192.0.2.1").unwrap();
    assert!(stream.request_started(false));
    stream.response_ready();
    stream.stream_started();
    stream.bytes_written();
    let idle = admit(&registry, "192.0.2.2").unwrap();
    let third = admit(&registry, "192.0.2.3").unwrap();
    assert_eq!([&stream, &idle, &third].map(|one| one.phase() == Phase::Closing), [false, true, false]);
    // The same connection is idle after its stream.
    assert!(stream.request_started(false));
    stream.response_ready();
    stream.bytes_written();
    let idle = third;
    let fourth = admit(&registry, "192.0.2.4").unwrap();
    assert!(!fourth.is_reserved && (stream.phase() == Phase::Closing || idle.phase() == Phase::Closing));
}

#[test]
fn an_address_at_its_limit_loses_its_own_connections_and_slots_are_released() {
    let registry = registry(4, 2, &[]);
    let other = admit(&registry, "192.0.2.9").unwrap();
    let first = admit(&registry, "192.0.2.1").unwrap();
    let second = admit(&registry, "192.0.2.1").unwrap();
    let third = admit(&registry, "192.0.2.1").unwrap();
    assert_eq!([&other, &first, &second, &third].map(|one| one.phase() == Phase::Closing), [false, true, false, false]);
    registry.remove(&first);
    assert!(second.request_started(false) && third.request_started(false));
    assert!(admit(&registry, "192.0.2.1").unwrap().is_reserved);
    registry.remove(&second);
    assert!(!admit(&registry, "192.0.2.1").unwrap().is_reserved);
    assert!(!first.bytes_read() && !first.request_started(false), "it is closing");
    assert!(!admit(&registry, "192.0.2.2").unwrap().is_reserved);
    let state = registry.lock();
    assert_eq!((state.general.used, state.reserved.used), (4, 1));
}

#[test]
fn no_connection_is_admitted_while_every_other_one_executes_a_request() {
    let registry = registry(1, 1, &[]);
    let mut working = Vec::new();
    let mut peers = (1..=255).map(|number| format!("192.0.2.{number}"));
    while let Some(connection) = peers.next().and_then(|peer| admit(&registry, &peer)) {
        assert!(connection.request_started(false));
        working.push(connection);
    }
    assert_eq!(working.len(), 1 + RESERVED);
    for connection in &working {
        registry.remove(connection);
        registry.remove(connection);
    }
    let state = registry.lock();
    assert!(state.open.is_empty() && state.general.per_address.is_empty() && state.reserved.per_address.is_empty());
    assert_eq!((state.general.used, state.reserved.used), (0, 0));
}

#[test]
fn a_connection_with_several_requests_is_closed_only_between_them() {
    let registry = registry(2, 1, &["10.0.0.0/8"]);
    assert!(!admit(&registry, "192.0.2.1").unwrap().multiplex(), "only trusted proxies speak HTTP/2");
    let proxy = admit(&registry, "10.0.0.1").unwrap();
    assert!(proxy.multiplex());
    let first = proxy.count_request();
    assert!(proxy.request_started(true));
    let second = proxy.count_request();
    assert!(proxy.request_started(false));
    drop(second);
    proxy.bytes_written();
    assert_eq!(proxy.phase(), Phase::Idle);
    assert!(proxy.closing_order(microseconds(registry.started)).is_none(), "a request is under way");
    drop(first);
    assert!(proxy.closing_order(microseconds(registry.started)).is_some());
    assert!(!proxy.has_unread());
}
