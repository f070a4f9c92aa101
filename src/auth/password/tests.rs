use std::sync::Barrier;
use std::time::SystemTime;

use futures_util::future::{join_all, join3};
use poem::http::HeaderMap;

use super::*;
use crate::auth::server_key::Key;
use crate::trace::{Recorder, RequestSummary, TraceContext};

fn hasher() -> Hasher {
    Hasher::new(Key::from([7; 32]), DEFAULT_MIN_LENGTH.into())
}

#[tokio::test]
async fn a_secret_is_right_outdated_or_wrong() {
    let hasher = hasher();
    let ours = hasher.hash("0042".to_owned(), None).await.unwrap();
    let foreign = "$argon2id$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$vo5DkMQ9RF0RzwRFjuauSrIwWw3B8d1L/HE5BJpnXSI";
    let greedy = foreign.replace("m=512", "m=262145");
    let long = "x".repeat(MAX_SECRET_LENGTH + 1);
    let of_long = hasher.hash(long.clone(), None).await.unwrap();
    let cases = [
        ("0042", Some(ours.as_str()), Verification::Right),
        ("42", Some(&ours), Verification::Wrong),
        ("l\u{e8}tmein", Some(foreign), Verification::Outdated),
        ("letmein", Some(foreign), Verification::Wrong),
        ("l\u{e8}tmein", Some(&greedy), Verification::Wrong),
        ("0042", Some("0042"), Verification::Wrong),
        ("0042", None, Verification::Wrong),
        ("", None, Verification::Wrong),
        (&long, Some(&of_long), Verification::Wrong),
    ];
    for (secret, hash, expected) in cases {
        let permit = hasher.acquire_permit(None).await.unwrap();
        let verification = permit.verify(secret.to_owned(), hash.map(str::to_owned)).await.unwrap();
        assert_eq!(verification, expected, "{secret:.9} {hash:?}");
    }
}

#[tokio::test]
async fn too_many_hashes_at_once_are_rate_limited() {
    let hasher = hasher();
    let all = (0..MAX_ADMITTED + 3).map(|_| hasher.hash(String::new(), None));
    let done = join_all(all).await;
    let rate_limited = done.iter().filter(|hash| matches!(hash, Err(Error::RateLimited(_)))).count();
    assert_eq!(rate_limited, 3);
}

#[tokio::test]
async fn a_user_waits_for_their_own_hashes_and_leaves_room_for_others() {
    let hasher = hasher();
    let (ada, bob) = (Id::new(), Id::new());
    let all = (0..MAX_ADMITTED + 3).map(|_| hasher.hash(String::new(), Some(ada)));
    let (done, other) = tokio::join!(join_all(all), hasher.hash(String::new(), Some(bob)));
    assert!(done.iter().all(Result::is_ok) && other.is_ok());
}

#[tokio::test]
async fn the_span_of_a_hash_begins_when_a_thread_begins_to_compute_it() {
    let hasher = hasher();
    let (recorder, mut queue) = Recorder::with_queue(1);
    let (_, current) = recorder.begin(TraceContext::of_headers(&HeaderMap::new()));
    let barrier = Arc::new(Barrier::new(thread_count() + 1));
    let pool = hasher.pool().unwrap();
    let block = || {
        let barrier = Arc::clone(&barrier);
        pool.run(move || {
            barrier.wait();
            Ok(())
        })
    };
    let blocked = join_all((0..thread_count()).map(|_| block()));
    let hash = trace::within(current.clone(), hasher.hash("0042".to_owned(), None));
    let release = async {
        let now = SystemTime::now();
        barrier.wait();
        now
    };
    // They are polled in this order.
    let (_, hash, released) = join3(blocked, hash, release).await;
    hash.unwrap();
    current.unwrap().end(RequestSummary {
        request_id: "1".to_owned(),
        method: "POST",
        operation_type: None,
        operation: None,
        document: None,
        status: Some(200),
        outcome: "ok",
        is_failure: false,
    });
    let finished = queue.try_recv().unwrap();
    assert_eq!(finished.children.len(), 1);
    assert!(finished.children[0].start >= released, "the span includes the wait for a thread");
}

#[tokio::test]
async fn a_password_has_the_minimum_length_that_is_set() {
    let is_rejected = async |min_length: usize, password: &str| {
        let mut validator = Validator::creating();
        let hasher = Hasher::new(Key::from([7; 32]), min_length);
        let candidate = PasswordCandidate { field: "password", password, known_words: &[], on_behalf_of: None };
        hasher.check(&mut validator, candidate).await.unwrap();
        validator.has_errors()
    };
    assert!(is_rejected(12, "zyG4!wq3x").await && !is_rejected(8, "zyG4!wq3x").await);
    assert!(is_rejected(20, "seven-brass-otters").await && !is_rejected(18, "seven-brass-otters").await);
}
