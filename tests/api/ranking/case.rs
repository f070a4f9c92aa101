//! The searches and expected users of `cases.txt`, checked against the rule of typos.

use roster::text::fold;

use super::directory::Person;

/// A search and its expected first result.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub kind: &'static str,
    pub query: &'static str,
    /// The name or username of the user who must come first.
    pub who: &'static str,
}

/// Every case, in the order of the file.
pub fn all() -> Vec<Case> {
    let lines = include_str!("cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &'static str| {
        let [kind, query, who] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{line}") };
        Case { kind, query, who }
    };
    lines.map(read).collect()
}

impl Case {
    /// The only user with the expected name or username.
    pub fn meant<'a>(&self, people: &'a [Person]) -> &'a Person {
        let is_meant = |person: &&Person| person.name() == self.who || person.username.as_deref() == Some(self.who);
        let meant: Vec<&Person> = people.iter().filter(is_meant).collect();
        let [one] = meant[..] else { panic!("{self:?}: {} users match", meant.len()) };
        one
    }

    /// The problem of a case with a typo, if any: each word must match the user with the allowed number of typos, and
    /// the typo must be of the case's kind.
    pub fn fault(&self, person: &Person) -> Option<String> {
        let typos: Vec<Typo> = match fold(self.query).split_whitespace().map(|word| Typo::of(word, person)).collect() {
            Ok(typos) => typos,
            Err(fault) => return Some(fault),
        };
        let made: Vec<&Typo> = typos.iter().filter(|typo| typo.distance > 0).collect();
        let is_so = match (self.kind, &made[..]) {
            ("typo-both", made) => made.len() >= 2,
            (_, [typo]) => typo.is(self.kind),
            _ => false,
        };
        (!is_so).then(|| format!("{made:?}"))
    }
}

/// A word of the query, and the nearest word of the user.
#[derive(Debug)]
struct Typo {
    asked: Vec<char>,
    meant: Vec<char>,
    distance: usize,
}

impl Typo {
    fn of(asked: &str, person: &Person) -> Result<Self, String> {
        let texts: Vec<String> = person.texts().map(fold).collect();
        let asked: Vec<char> = asked.chars().collect();
        if texts.iter().any(|text| text.contains(&String::from_iter(&asked))) {
            return Ok(Self { meant: asked.clone(), asked, distance: 0 });
        }
        let words = texts.iter().flat_map(|text| words(text)).map(|word| word.chars().collect::<Vec<char>>());
        let nearest = words.map(|meant| (distance(&asked, &meant), meant)).min().unwrap();
        let (distance, meant) = nearest;
        if distance > allowed(asked.len().min(meant.len())) {
            return Err(format!("{asked:?} is not {meant:?}"));
        }
        Ok(Self { asked, meant, distance })
    }

    /// Whether the typo is of a kind.
    fn is(&self, kind: &str) -> bool {
        let (asked, meant) = (self.asked.len(), self.meant.len());
        let differing = self.asked.iter().zip(&self.meant).filter(|(asked, meant)| asked != meant).count();
        match kind {
            "typo-two" => self.distance == 2,
            "typo-first" => self.distance == 1 && self.asked[0] != self.meant[0],
            "typo-missing" => self.distance == 1 && asked + 1 == meant,
            "typo-extra" => self.distance == 1 && asked == meant + 1,
            "typo-substituted" => self.distance == 1 && asked == meant && differing == 1,
            "typo-transposed" => self.distance == 1 && asked == meant && differing == 2,
            kind => panic!("{kind} is not a kind of typo"),
        }
    }
}

/// The words of a text: its parts between spaces, and the parts of those.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    text.split_whitespace().chain(parts)
}

/// The number of typos allowed in a word of a length.
pub fn allowed(letters: usize) -> usize {
    match letters {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

/// The number of substituted, missing, extra and transposed letters (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            table[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let substituted = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let least = substituted.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let exchanged = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                    if exchanged { least.min(table[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    table[one.len()][other.len()]
}

#[test]
fn distances_follow_the_rule() {
    let far =
        |one: &str, other: &str| distance(&one.chars().collect::<Vec<char>>(), &other.chars().collect::<Vec<char>>());
    for (one, other, expected) in [
        ("meier", "meier", 0),
        ("meyer", "meier", 1),
        ("meir", "meier", 1),
        ("meiier", "meier", 1),
        ("meire", "meier", 1),
        ("emeir", "meier", 2),
        ("ca", "abc", 3),
        ("", "abc", 3),
    ] {
        assert_eq!(far(one, other), expected, "{one} {other}");
        assert_eq!(far(other, one), expected, "{other} {one}");
    }
}
