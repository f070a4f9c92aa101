//! The everyday workloads: users by ID, pages, searches and changes; and the same reads by hand-written SQL.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use roster::text::fold;
use serde_json::json;

use crate::http::Connection;
use crate::walk::{PAGE, User, Walk, head, spread};
use crate::workload::{Request, Source, Workload, bare, request};
use crate::writer::{NEWCOMER, SIGN_INS, VARIANTS, Writer, address_of};

/// The tokens of the sessions used, from the file that `demo --tokens` writes.
pub struct Tokens {
    pub reader: String,
    pub writer: String,
    /// The token of another user with the same rights as the reader.
    pub other: String,
}

/// The logins to guess at: of users with a password, and of users without one.
pub struct Logins {
    pub with_password: Vec<String>,
    pub without_password: Vec<String>,
}

/// The addresses of the two servers.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub roster: SocketAddr,
    pub bare: SocketAddr,
}

/// The number of search terms of each kind.
const TERMS: usize = 64;

const FIELDS: &str = "id username firstName lastName email position userType";
const LINKS: &str = "institution { id name } groups { id name }";

/// The beginning of a response with users.
pub const USERS_FOUND: &str = r#"{"data":{"users":{"nodes":[{"id":""#;

/// Returns all workloads in the order in which they are measured: those that change the data come last. One that ends in
/// `-sql` is the next one by hand-written SQL.
pub async fn workloads(addresses: Addresses, tokens: &Tokens, walk: &Walk) -> Result<Vec<Arc<Workload>>> {
    let mut connection = Connection::open(addresses.roster).await?;
    let write = Writer { address: addresses.roster, token: tokens.writer.clone() };
    let floor =
        |token| request(addresses.roster, token, "{ __typename }", &json!({}), r#"{"data":{"__typename":"Query"}"#);
    let mut workloads = vec![
        Workload::bare("poem", vec![bare(addresses.bare, "/", "", &json!({}))]),
        Workload::ready("typename", vec![floor("")]),
        Workload::ready("token", vec![floor(&tokens.reader)]),
    ];
    let roster = read_workloads(addresses.roster, &tokens.reader, walk);
    let by_hand = by_hand(addresses.bare, &tokens.reader, walk)?;
    for (one, other) in by_hand.iter().zip(&roster).take(3) {
        one.expect_same(other, [addresses.bare, addresses.roster]).await?;
    }
    let [w1, w2, w3, w4] = roster;
    let w5 = Workload::new("W5", None, write.creation(NEWCOMER));
    let mixed = [&w1, &w1, &w2, &w1, &w1, &w4, &w1, &w2, &w1, &w5].map(Arc::clone).to_vec();
    for (one, other) in by_hand.into_iter().zip([w1, w2, w3, w4]) {
        workloads.extend([one, other]);
    }
    let search = |found: &User| search(addresses.roster, &tokens.reader, &head(&found.last, 2));
    workloads.extend([
        Workload::ready("W4-short", spread(&walk.users, TERMS).map(search).collect()),
        Workload::new("W8", None, Source::Mixed(mixed)),
        Workload::ready("update", write.updates(&walk.users, ["Load Tester", "Load Bearer"])),
        w5,
        Workload::new("login", Some(2), Source::Ready(write.sign_ins(&mut connection).await?)),
    ]);
    Ok(workloads)
}

/// Returns the logins that `rank` guesses at.
pub fn logins(walk: &Walk) -> Logins {
    Logins {
        with_password: (0..SIGN_INS).map(address_of).collect(),
        without_password: spread(&walk.users, 64).map(|user| user.login().to_owned()).collect(),
    }
}

/// Returns W1 to W4.
pub fn read_workloads(address: SocketAddr, token: &str, walk: &Walk) -> [Arc<Workload>; 4] {
    let deep = "query($after: String) { users(first: 50, after: $after) { nodes { id username } } }";
    [
        Workload::ready("W1", by_id(address, token, &walk.users)),
        Workload::page("W2", first_page(address, token), PAGE),
        Workload::page("W3", request(address, token, deep, &json!({"after": walk.deep.1}), USERS_FOUND), PAGE),
        Workload::ready("W4", terms(&walk.users).iter().map(|term| search(address, token, term)).collect()),
    ]
}

/// Returns the requests of W1: users by their ids, with institution and groups.
pub fn by_id(address: SocketAddr, token: &str, users: &[User]) -> Vec<Request> {
    let query = format!("query($id: ID!) {{ user(by: {{id: $id}}) {{ {FIELDS} {LINKS} }} }}");
    let by_id = |user: &User| {
        let begins = format!(r#"{{"data":{{"user":{{"id":"{}","#, user.id);
        request(address, token, &query, &json!({"id": user.id}), &begins)
    };
    spread(users, VARIANTS).map(by_id).collect()
}

/// Returns the request of W2: the first page of users, with institutions and groups.
pub fn first_page(address: SocketAddr, token: &str) -> Request {
    let query = format!("{{ users(first: {PAGE}) {{ nodes {{ {FIELDS} {LINKS} }} }} }}");
    request(address, token, &query, &json!({}), USERS_FOUND)
}

/// Returns W1 to W4 by hand-written SQL, as far as it can do the same: instead of a search, the users whose last name
/// begins with a prefix.
fn by_hand(address: SocketAddr, token: &str, walk: &Walk) -> Result<[Arc<Workload>; 4]> {
    let user = |user: &User| bare(address, "/user", token, &json!({"id": user.id}));
    let before = walk.before_deep()?;
    let place = json!({"last": fold(&before.last), "first": fold(&before.first), "id": before.id});
    let called = |user: &User| {
        let prefix = head(&fold(&user.last), 3);
        bare(address, "/called", token, &json!({"prefix": prefix}))
    };
    Ok([
        Workload::bare("W1-sql", spread(&walk.users, VARIANTS).map(user).collect()),
        Workload::bare("W2-sql", vec![bare(address, "/page", token, &json!({}))]),
        Workload::bare("W3-sql", vec![bare(address, "/deep", token, &place)]),
        Workload::bare("W4-sql", spread(&walk.users, TERMS).map(called).collect()),
    ])
}

/// Returns a search for the first 20 users, of whom there must be one.
pub fn search(address: SocketAddr, token: &str, term: &str) -> Request {
    let query = "query($q: String!) { searchUsers(query: $q, first: 20) { nodes { id firstName lastName } } }";
    request(address, token, query, &json!({"q": term}), r#"{"data":{"searchUsers":{"nodes":[{"id":""#)
}

/// Returns parts of names and addresses, by turns: the beginning of a last name, which many users have; a last name
/// without its first letter; the beginning of a first name with a last name; and one user's login up to the `@`.
fn terms(users: &[User]) -> Vec<String> {
    let long_enough = users.iter().filter(|user| user.first.chars().count() > 2 && user.last.chars().count() > 3);
    let chosen: Vec<&User> = long_enough.collect();
    let of_each = |user: &&User| {
        [
            head(&user.last, 3),
            user.last.chars().skip(1).collect(),
            format!("{} {}", head(&user.first, 3), user.last),
            user.login().split('@').next().unwrap_or_default().to_owned(),
        ]
    };
    spread(&chosen, TERMS).flat_map(of_each).collect()
}
