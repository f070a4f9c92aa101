//! Roster beside a peer: the same requests by turns to Roster and to Mercurius, on the same PostgreSQL database.
//!
//! The server of the peer is in `benches/peers`, whose README says what the comparison leaves out. On SQLite, which the
//! peer does not read, Roster is measured alone; its figures are printed beside those of PostgreSQL at the end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use roster::text::fold;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;

use crate::everyday::{Tokens, USERS_FOUND, by_id, first_page, search};
use crate::figures::{Comparison, Measured};
use crate::http::Connection;
use crate::measuring::Bench;
use crate::server::{Place, Server};
use crate::walk::{PAGE, User, Walk, head, spread, walk};
use crate::workload::{Request, Source, Target, Workload, request};
use crate::writer::Writer;
use crate::{machine, table};

/// The number of requests under way.
const UNDER_WAY: usize = 16;
/// The number of times that each workload is measured, on Roster and the peer by turns.
const TURNS: usize = 3;
/// The number of users whose names and logins are looked for.
const TEXTS: usize = 64;

/// The first workload that only writes.
const FIRST_WRITE: &str = "W5";
/// The index that the peer creates to find texts. It is none of Roster's, so writes are measured without it.
const DROP_SEARCH_INDEX: &str = "DROP INDEX IF EXISTS peers_search";

const DEEP: &str = "query($after: String) { users(first: 50, after: $after) {
    nodes { id username firstName lastName email } } }";
const CONTAINING: &str = "query($text: String!) { users(first: 20, orderBy: [{field: USERNAME}], filter: {or: [
    {username: {contains: $text}}, {firstName: {contains: $text}}, {lastName: {contains: $text}},
    {email: {contains: $text}}, {certifiedEmail: {contains: $text}}]}) { nodes { id username firstName lastName } } }";
const CONTAINING_OF_PEER: &str = "query($text: String!) { users: usersContaining(text: $text, first: 20) {
    nodes { id username firstName lastName } } }";

/// One of the two servers.
struct Side<'a> {
    target: Target,
    address: SocketAddr,
    /// The tokens for reading and writing; empty for the peer, which checks none.
    tokens: [&'a str; 2],
    /// The beginning of the logins of the users that are created. It differs between the two sides.
    prefix: &'static str,
    /// The positions that users get by turns. They differ too: an update to the present value would be cheaper.
    positions: [&'static str; 2],
}

impl Bench<'_> {
    /// Measures each workload on Roster and, on PostgreSQL, on the peer by turns.
    ///
    /// # Errors
    /// If the peer is not installed, if a response is wrong, or if the first responses of the two servers differ.
    pub async fn compare(&mut self, tokens: &Tokens, place: Place<'_>) -> Result<Vec<Comparison>> {
        let address = self.server.address;
        let walk = walk(&mut Connection::open(address).await?, address, &tokens.reader).await?;
        let roster = Side::of_roster(address, tokens).workloads(&walk)?;
        let mut peer = Vec::new();
        if let Some(url) = place.url {
            let server = Server::start_peer(url)?;
            peer = Side::of_peer(server.address).workloads(&walk)?;
            for (one, other) in roster.iter().zip(&peer).take(4) {
                one.expect_same(other, [address, server.address]).await?;
            }
            self.peer = Some(server);
        }
        println!("\npeers: {UNDER_WAY} under way; load average {}\n{}", machine::load_average(), table::COMPARED_HEAD);
        let mut comparisons = Vec::new();
        for (number, workload) in roster.iter().enumerate() {
            if let (FIRST_WRITE, Some(url)) = (workload.name, place.url) {
                drop_search_index(url).await?;
            }
            let compared = self.compare_workload(workload, peer.get(number)).await?;
            let Comparison { workload, roster, peer } = &compared;
            let row = if peer.is_some() { [Some(roster), None, peer.as_ref()] } else { [None, Some(roster), None] };
            println!("{}", table::compared(workload, row));
            comparisons.push(compared);
        }
        Ok(comparisons)
    }

    async fn compare_workload(&self, roster: &Arc<Workload>, peer: Option<&Arc<Workload>>) -> Result<Comparison> {
        let (mut of_roster, mut of_peer) = (Measured::default(), Measured::default());
        for _ in 0..TURNS {
            of_roster.join(self.measure(roster, UNDER_WAY).await?);
            if let Some(peer) = peer {
                of_peer.join(self.measure(peer, UNDER_WAY).await.context("the peer")?);
            }
        }
        let figure = |measured: &Measured| measured.figure(roster.name, UNDER_WAY);
        Ok(Comparison { workload: roster.name, roster: figure(&of_roster), peer: peer.map(|_| figure(&of_peer)) })
    }
}

impl<'a> Side<'a> {
    fn of_roster(address: SocketAddr, tokens: &'a Tokens) -> Self {
        let (tokens, positions) = ([tokens.reader.as_str(), tokens.writer.as_str()], ["Ward Porter", "Ward Clerk"]);
        Self { target: Target::Roster, address, tokens, prefix: "colleague", positions }
    }

    fn of_peer(address: SocketAddr) -> Self {
        let positions = ["Team Porter", "Team Clerk"];
        Self { target: Target::Peer, address, tokens: [""; 2], prefix: "stranger", positions }
    }

    /// Returns the workloads in the order in which they are measured: those that only write come last.
    fn workloads(&self, walk: &Walk) -> Result<Vec<Arc<Workload>>> {
        let [reader, writer] = self.tokens;
        let write = Writer { address: self.address, token: writer.to_owned() };
        let texts = texts(&walk.users);
        let on = |name, source, nodes| Workload::on(self.target, name, Some(UNDER_WAY), source, nodes);
        let ready = |name, requests| on(name, Source::Ready(requests), None);
        let page = |name, request| on(name, Source::Ready(vec![request]), Some(PAGE));
        let w1 = ready("W1", by_id(self.address, reader, &walk.users));
        let w2 = page("W2", first_page(self.address, reader));
        let w3 = page("W3", self.deep(walk)?);
        let w4 = ready("W4", texts.iter().map(|text| self.containing(text)).collect());
        let search = ready("search", texts.iter().map(|text| self.search(text)).collect());
        let w5 = on(FIRST_WRITE, write.creation(self.prefix), None);
        let w6 = ready("W6", write.updates(&walk.users, self.positions));
        let mixed = [&w1, &w1, &w2, &w1, &w1, &search, &w1, &w2, &w1, &w5].map(Arc::clone).to_vec();
        let w8 = on("W8", Source::Mixed(mixed), None);
        Ok(vec![w1, w2, w3, w4, search, w8, w5, w6])
    }

    /// Returns the request for the deep page. The cursor of the peer is the position itself.
    fn deep(&self, walk: &Walk) -> Result<Request> {
        let after = if self.target == Target::Peer {
            let before = walk.before_deep()?;
            json!([fold(&before.last), fold(&before.first), before.id]).to_string()
        } else {
            walk.deep.1.clone()
        };
        let [reader, _] = self.tokens;
        Ok(request(self.address, reader, DEEP, &json!({"after": after}), USERS_FOUND))
    }

    /// Returns the request for users whose names or logins contain a text, the first 20 by username.
    fn containing(&self, text: &str) -> Request {
        let query = if self.target == Target::Peer { CONTAINING_OF_PEER } else { CONTAINING };
        let [reader, _] = self.tokens;
        request(self.address, reader, query, &json!({"text": text}), USERS_FOUND)
    }

    /// Returns the request for the users whom a text finds. The peer has no other search than by parts of names.
    fn search(&self, text: &str) -> Request {
        let [reader, _] = self.tokens;
        if self.target == Target::Peer { self.containing(text) } else { search(self.address, reader, text) }
    }
}

async fn drop_search_index(url: &str) -> Result<()> {
    let database = Database::connect(url).await?;
    database.execute_unprepared(DROP_SEARCH_INDEX).await?;
    Ok(database.close().await?)
}

/// Returns parts of names and logins, by turns: the beginning of a last name, which many users have; a last name without
/// its first letter; and one user's login up to the `@`. Only those that need no folding but to lower case.
fn texts(users: &[User]) -> Vec<String> {
    let of_each = |user: &User| {
        let login = user.login().split('@').next().unwrap_or_default();
        [head(&user.last, 3), user.last.chars().skip(1).collect(), login.to_owned()]
    };
    let is_plain =
        |text: &String| text.len() > 2 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.');
    spread(users, TEXTS).flat_map(of_each).filter(is_plain).collect()
}
