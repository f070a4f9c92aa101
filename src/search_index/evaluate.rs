//! Evaluation of a query: the users of a segment who match every word, with the sum of their points.

use std::ops::Range;

use super::class::{Class, Points, UNKNOWN};
use super::compound::SimilarPlace;
use super::fields::EMAIL_WEIGHT;
use super::lookup::{Kind, List, Lists, QueryWord};
use super::score;
use super::segment::Segment;
use super::typo::{PartsAt, TypedWord, parts_at, places_of_parts};
use super::words::Words;

/// The time in which the points of one user are computed from the search key, as a multiple of the time that an entry of a list
/// takes.
const ENTRIES_PER_USER: usize = 300;

/// The maximum number of lists of a word that are kept until its turn. Those of a word with more, such as a single letter, are looked
/// up again then: one word at a time, and only if the words before it leave anybody.
const MAX_KEPT_LISTS: usize = if cfg!(test) { 3 } else { 10_000 };

/// A user of a segment, and the sum of the points of the words.
pub(super) type ScoredUser = (u32, u32);

/// A word of a query, looked up in a segment.
struct PendingWord<'w, 'q, 'a> {
    word: &'w QueryWord<'q>,
    /// The number of users in its lists.
    size: usize,
    /// `None` if there are too many to keep.
    lists: Option<Lists<'a>>,
}

impl<'w, 'q, 'a> PendingWord<'w, 'q, 'a> {
    fn new(word: &'w QueryWord<'q>, segment: &'a Segment, range: &Range<u32>) -> Self {
        let lists = word.look_up(segment, range);
        let size = if lists.may_be_anyone { range.len() } else { lists.users };
        Self { word, size, lists: Some(lists).filter(|lists| lists.of_words.len() <= MAX_KEPT_LISTS) }
    }
}

/// The evaluation of a query in a segment. Its words are looked up once, for the users with and without typos.
pub(super) struct Evaluation<'w, 'q, 'a> {
    segment: &'a Segment,
    range: Range<u32>,
    /// The words, the rarest first.
    words: Vec<PendingWord<'w, 'q, 'a>>,
}

impl<'w, 'q, 'a> Evaluation<'w, 'q, 'a> {
    /// Looks up the words of a query for the users of a range.
    pub(super) fn new(segment: &'a Segment, words: &'w [QueryWord<'q>], range: Range<u32>) -> Self {
        let words: &'w [QueryWord<'q>] = if range.is_empty() { &[] } else { words };
        let mut words: Vec<_> = words.iter().map(|word| PendingWord::new(word, segment, &range)).collect();
        words.sort_by_key(|pending| pending.size);
        Self { segment, range, words }
    }

    /// Returns the users of the range who match every word, with or without typos.
    pub(super) fn matches(&self, with_typos: bool) -> Vec<ScoredUser> {
        let mut found: Option<Vec<ScoredUser>> = None;
        for pending in &self.words {
            if found.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let typed = pending.word.typed.as_ref().filter(|_| with_typos);
            let entries = pending.size + if typed.is_some() { self.segment.compounds.cost(&self.range) } else { 0 };
            found = Some(match found {
                Some(found) if found.len() * ENTRIES_PER_USER < entries => {
                    self.among(found, pending.word, typed.is_some())
                }
                Some(found) => {
                    let points = self.points(pending, typed);
                    found.into_iter().filter_map(|(user, sum)| add(user, sum, points.of(user))).collect()
                }
                None => self.points(pending, typed).all(),
            });
        }
        found.unwrap_or_default()
    }

    /// Returns those of some users who match a word as well, by a look at each of them.
    fn among(&self, found: Vec<ScoredUser>, word: &QueryWord<'_>, with_typos: bool) -> Vec<ScoredUser> {
        let mut distances = Vec::new();
        let with_word = |(user, sum): ScoredUser| {
            let key = self.segment.key(user);
            let points = if with_typos { word.points_with_typos(key, &mut distances) } else { word.points(key) };
            add(user, sum, points)
        };
        found.into_iter().filter_map(with_word).collect()
    }

    /// Returns the points of all users who match a word.
    fn points(&self, pending: &PendingWord<'_, '_, '_>, typed: Option<&TypedWord<'_>>) -> PointsOfUsers {
        let Self { segment, range, .. } = self;
        let mut points = PointsOfUsers::new(range);
        match &pending.lists {
            Some(lists) => points.add_exact(segment, pending.word, lists),
            None => points.add_exact(segment, pending.word, &pending.word.look_up(segment, range)),
        }
        if let Some(typed) = typed {
            points.add_typos(segment, typed, range);
        }
        points
    }
}

/// Adds the points of a word to a user's sum. `None` if the user does not have the word.
fn add(user: u32, sum: u32, points: u16) -> Option<ScoredUser> {
    (points > 0).then(|| (user, sum + u32::from(points)))
}

/// The points of the users of a range for one word.
struct PointsOfUsers {
    first: u32,
    points: Vec<u16>,
    /// The users with points.
    users: Vec<u32>,
}

impl PointsOfUsers {
    fn new(range: &Range<u32>) -> Self {
        Self { first: range.start, points: vec![0; range.len()], users: Vec::new() }
    }

    fn of(&self, user: u32) -> u16 {
        let place = user.checked_sub(self.first).map(|place| place as usize);
        place.and_then(|place| self.points.get(place)).copied().unwrap_or_default()
    }

    /// Gives a user points, unless the user has more.
    fn give(&mut self, user: u32, points: u16) {
        let place = user.checked_sub(self.first).map(|place| place as usize);
        let Some(known) = place.and_then(|place| self.points.get_mut(place)) else { return };
        if *known == 0 && points > 0 {
            self.users.push(user);
        }
        *known = (*known).max(points);
    }

    fn all(self) -> Vec<ScoredUser> {
        let Self { first, points, users } = self;
        let sum = |user: &u32| points.get((user - first) as usize).copied().map_or(0, u32::from);
        users.iter().map(|user| (*user, sum(user))).collect()
    }

    /// Gives points to the users who have a word without typos.
    fn add_exact(&mut self, segment: &Segment, word: &QueryWord<'_>, lists: &Lists<'_>) {
        if lists.may_be_anyone {
            let users = self.first..self.first + super::to_u32(self.points.len());
            users.for_each(|user| self.give(user, word.points(segment.key(user))));
        }
        let equal = segment.classes.points(|class| class.equal);
        let beginning = segment.classes.points(|class| class.beginning);
        let inside = segment.classes.points(|class| class.inside);
        for List { postings, kind } in &lists.of_words {
            let points = match kind {
                Kind::Equal => &equal,
                Kind::Beginning => &beginning,
                Kind::Inside => &inside,
                Kind::InDomain(points) => {
                    postings.users.iter().for_each(|user| self.give(*user, *points));
                    continue;
                }
                Kind::Candidate => {
                    for user in postings.users {
                        if self.of(*user) == 0 {
                            self.give(*user, word.points(segment.key(*user)));
                        }
                    }
                    continue;
                }
            };
            for (user, class) in postings.users.iter().zip(postings.classes) {
                match points.of(*class) {
                    UNKNOWN => self.give(*user, word.points(segment.key(*user))),
                    points => self.give(*user, points),
                }
            }
        }
    }

    /// Gives points to the users who have a word with typos.
    fn add_typos(&mut self, segment: &Segment, typed: &TypedWord<'_>, range: &Range<u32>) {
        let mut distances = Vec::new();
        self.add_similar_words(segment, &segment.letters, typed, range, &mut distances);
        if typed.has_digit() {
            self.add_similar_words(segment, &segment.others, typed, range, &mut distances);
        }
        for domain in segment.similar_domains(typed) {
            let text = segment.domains.word(domain).get(1..).unwrap_or_default();
            let parts = places_of_parts(text).filter_map(|place| parts_at(text, place));
            let scores = parts.map(|parts| typed.score(parts.rest, &parts.lengths, &mut distances));
            let points = score::points(EMAIL_WEIGHT * scores.fold(0.0, f64::max));
            let users: &[u32] = if points > 0 { segment.domains.postings(domain, range).users } else { &[] };
            for user in users {
                self.give(*user, points);
            }
        }
        for SimilarPlace { user, place, max_points } in segment.compounds.similar(typed, range) {
            if self.of(user) >= max_points {
                continue;
            }
            let key = segment.key(user);
            let Some(PartsAt { rest, lengths }) = parts_at(key, place) else { continue };
            let score = typed.score(rest, &lengths, &mut distances);
            if score > 0.0 {
                self.give(user, score::points(weight_at(key, place) * score));
            }
        }
    }

    /// Gives points to the users who have one of some words, which the typed word equals but for typos, or which continue it.
    fn add_similar_words(
        &mut self,
        segment: &Segment,
        words: &Words,
        typed: &TypedWord<'_>,
        range: &Range<u32>,
        distances: &mut Vec<usize>,
    ) {
        for similar in words.similar(typed) {
            let text = words.word(similar);
            let score = typed.score(text, &[text.chars().count()], distances);
            if score == 0.0 {
                continue;
            }
            let points: Points = segment.classes.points(|class| typo_points(*class, score));
            let postings = words.postings(similar, range);
            for (user, class) in postings.users.iter().zip(postings.classes) {
                match points.of(*class) {
                    UNKNOWN => self.give(*user, score::points_of_word(segment.key(*user), typed.text(), true)),
                    points => self.give(*user, points),
                }
            }
        }
    }
}

/// Returns the points of a word with typos, by the field that has it.
fn typo_points(class: Class, score: f64) -> u16 {
    score::points(f64::from(class.typo) * score / 100.0)
}

/// Returns the weight of the field that is at a place of a search key.
fn weight_at(key: &str, place: usize) -> f64 {
    let before = key.get(..place).unwrap_or_default();
    super::fields::weight_of_line(before.matches('\n').count())
}
