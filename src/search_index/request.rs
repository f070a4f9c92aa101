//! Searches of a snapshot.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use super::evaluate::{Evaluation, ScoredUser};
use super::lookup::QueryWord;
use super::score;
use super::segment::Name;
use super::snapshot::{Part, Snapshot};
use crate::scalar::Id;

/// The number of users who match without typos from which no others are searched for.
pub const ENOUGH: usize = 100;

/// A search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The words, each of which must match. At least one.
    pub words: Vec<String>,
    /// The license of the users. `None` for all licenses.
    pub license_id: Option<Id>,
    pub include_inactive: bool,
    /// The users among whom to search. `None` for all.
    pub among: Option<Arc<HashSet<Id>>>,
    /// Whether users who match only with typos are found even if many others are.
    pub always_with_typos: bool,
    /// The place in the list after which the hits begin. `None` for its beginning.
    pub after: Option<ResultPosition>,
    /// The maximum number of hits that are returned.
    pub limit: usize,
}

/// A place in a list of search results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultPosition {
    /// The sum of the points of the words.
    pub points: u32,
    pub last: String,
    pub first: String,
    pub id: Id,
}

/// A user who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub id: Id,
    /// The sum of the points of the words.
    pub points: u32,
    pub search_key: String,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Found {
    /// The number of users who match.
    pub total: usize,
    /// Whether `total` is exact; otherwise more users may match.
    pub is_exact: bool,
    /// The hits after the place of the request, the best first, then in the order of last name, first name and ID.
    pub hits: Vec<Hit>,
}

impl Hit {
    /// Returns the place of the hit in the list.
    #[must_use]
    pub fn place(&self) -> ResultPosition {
        let name = Name::of(self.id, &self.search_key);
        ResultPosition {
            points: self.points,
            last: name.last().to_owned(),
            first: name.first().to_owned(),
            id: self.id,
        }
    }

    /// Returns whether the hit comes after a place in the list.
    #[must_use]
    pub fn is_after(&self, place: &ResultPosition) -> bool {
        let at_place = (Reverse(place.points), Name::new(&place.last, &place.first, place.id));
        self.order() > at_place
    }

    /// Returns the sort key of the hit.
    fn order(&self) -> (Reverse<u32>, Name<'_>) {
        (Reverse(self.points), Name::of(self.id, &self.search_key))
    }

    /// Returns the relevance of the user, from 0 to 1.
    #[must_use]
    pub fn score(&self, words: &[String]) -> f64 {
        score::score(&self.search_key, words).unwrap_or_default()
    }
}

impl Snapshot {
    /// Returns the users who match every word of a request.
    #[must_use]
    pub fn search(&self, request: &SearchRequest) -> Found {
        let words: Vec<QueryWord<'_>> = request.words.iter().map(|word| QueryWord::new(word)).collect();
        let segments = self.parts().map(|part| &*part.segment);
        let evaluations: Vec<Evaluation<'_, '_, '_>> =
            segments.map(|segment| Evaluation::new(segment, &words, segment.range(request.license_id))).collect();
        let find = |with_typos: bool| -> Vec<Vec<ScoredUser>> {
            let parts = self.parts().zip(&evaluations);
            parts.map(|(part, evaluation)| allowed_users(part, evaluation.matches(with_typos), request)).collect()
        };
        let mut found = find(false);
        let is_enough = count(&found) >= ENOUGH && !request.always_with_typos;
        if !is_enough && words.iter().any(|word| word.typed.is_some()) {
            found = find(true);
        }
        let total = count(&found);
        let mut hits: Vec<Hit> =
            self.parts().zip(found).flat_map(|(part, matches)| first_hits(part, matches, request)).collect();
        // A stable sort takes advantage of the order of the hits of each part.
        hits.sort_by(|one, other| one.order().cmp(&other.order()));
        hits.truncate(request.limit);
        Found { total, is_exact: true, hits }
    }

    /// Returns the users who have a token in a word, with any activity. `None` if more than `limit` may have it.
    #[must_use]
    pub fn users_with(&self, token: &str, license_id: Option<Id>, limit: usize) -> Option<Vec<Id>> {
        let word = QueryWord::new(token);
        let mut users = HashSet::new();
        for part in self.parts() {
            let range = part.segment.range(license_id);
            let lists = word.look_up_until(&part.segment, &range, limit);
            if lists.may_be_anyone || lists.users > limit {
                return None;
            }
            for user in lists.of_words.iter().flat_map(|list| list.postings.users) {
                users.extend(part.segment.id(*user).filter(|_| !part.removed.contains(*user)));
            }
        }
        (users.len() <= limit).then(|| users.into_iter().collect())
    }
}

/// The rank of a user of a part, by points and then by name, and the user.
type RankedUser = ((Reverse<u32>, u32), u32);

fn count(found: &[Vec<ScoredUser>]) -> usize {
    found.iter().map(Vec::len).sum()
}

/// Returns those of some users of a part whom a request allows.
fn allowed_users(part: &Part, mut users: Vec<ScoredUser>, request: &SearchRequest) -> Vec<ScoredUser> {
    let segment = &part.segment;
    let is_among = |user: u32| {
        let among = request.among.as_ref();
        among.is_none_or(|among| segment.id(user).is_some_and(|id| among.contains(&id)))
    };
    users.retain(|(user, _)| {
        !part.removed.contains(*user) && (request.include_inactive || segment.is_active(*user)) && is_among(*user)
    });
    users
}

/// Returns the first hits of a part after the place of a request, in their order.
fn first_hits(part: &Part, matches: Vec<ScoredUser>, request: &SearchRequest) -> Vec<Hit> {
    let segment = &part.segment;
    let key = |points: u32, position: u32| (Reverse(points), position);
    let begin = request.after.as_ref().map(|place| key(place.points, segment.sort_position_after(place)));
    // The last of the first ones is on top.
    let mut first: BinaryHeap<RankedUser> = BinaryHeap::new();
    for (user, points) in matches {
        let is_full = first.len() >= request.limit;
        // Tells most users without a look at their places in the order.
        if is_full && first.peek().is_none_or(|((Reverse(lowest), _), _)| points < *lowest) {
            continue;
        }
        let ranked = (key(points, segment.sort_position(user)), user);
        if begin.is_some_and(|begin| ranked.0 < begin) {
            continue;
        }
        if !is_full {
            first.push(ranked);
        } else if let Some(mut last) = first.peek_mut()
            && ranked < *last
        {
            *last = ranked;
        }
    }
    let hit = |((Reverse(points), _), user): RankedUser| {
        let user = segment.user(user)?;
        Some(Hit { id: user.id, points, search_key: user.key.to_owned() })
    };
    first.into_sorted_vec().into_iter().filter_map(hit).collect()
}
