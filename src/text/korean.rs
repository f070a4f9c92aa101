//! Romanization of Korean names.
//!
//! By the Revised Romanization (Ministry of Culture and Tourism, 2000), by McCune-Reischauer without its diacritics, and with the
//! English vowels that are common in passports (`young`, `hyun`, `soo`).

/// Initial consonants, by the Revised Romanization, and by McCune-Reischauer at the beginning of a word.
const INITIALS: [(&str, &str); 19] = [
    ("g", "k"),
    ("kk", "kk"),
    ("n", "n"),
    ("d", "t"),
    ("tt", "tt"),
    ("r", "n"),
    ("m", "m"),
    ("b", "p"),
    ("pp", "pp"),
    ("s", "s"),
    ("ss", "ss"),
    ("", ""),
    ("j", "ch"),
    ("jj", "tch"),
    ("ch", "ch"),
    ("k", "k"),
    ("t", "t"),
    ("p", "p"),
    ("h", "h"),
];
/// Vowels, by the Revised Romanization, with English vowels, and by McCune-Reischauer.
const VOWELS: [(&str, &str, &str); 21] = [
    ("a", "a", "a"),
    ("ae", "ae", "ae"),
    ("ya", "ya", "ya"),
    ("yae", "yae", "yae"),
    ("eo", "u", "o"),
    ("e", "e", "e"),
    ("yeo", "yu", "yo"),
    ("ye", "ye", "ye"),
    ("o", "o", "o"),
    ("wa", "wa", "wa"),
    ("wae", "wae", "wae"),
    ("oe", "oe", "oe"),
    ("yo", "yo", "yo"),
    ("u", "oo", "u"),
    ("wo", "wo", "wo"),
    ("we", "we", "we"),
    ("wi", "wi", "wi"),
    ("yu", "yoo", "yu"),
    ("eu", "u", "u"),
    ("ui", "ee", "ui"),
    ("i", "i", "i"),
];
/// Final consonants.
const FINALS: [&str; 28] = [
    "", "k", "k", "k", "n", "n", "n", "t", "l", "k", "m", "l", "l", "l", "p", "l", "m", "p", "p", "t", "t", "ng", "t",
    "t", "k", "t", "p", "t",
];

/// A syllable of Hangul.
#[derive(Clone, Copy)]
struct Syllable {
    /// The initial consonant, by the Revised Romanization (`soft`) and by McCune-Reischauer (`hard`).
    soft: &'static str,
    hard: &'static str,
    /// The vowel, by the Revised Romanization, with English vowels, and by McCune-Reischauer.
    vowels: (&'static str, &'static str, &'static str),
    end: &'static str,
}

impl Syllable {
    /// Decomposes a precomposed syllable (Unicode Standard, section 3.12).
    fn of(c: char) -> Option<Self> {
        let place = usize::try_from(u32::from(c).checked_sub(0xac00)?).ok()?;
        let (soft, hard) = *INITIALS.get(place / 588)?;
        let vowels = *VOWELS.get(place % 588 / 28)?;
        let end = FINALS.get(place % 28)?;
        Some(Self { soft, hard, vowels, end })
    }

    /// Returns the Revised Romanization.
    fn revised(self) -> String {
        let Self { soft, vowels: (vowel, ..), end, .. } = self;
        format!("{soft}{vowel}{end}")
    }

    /// Returns the romanization by McCune-Reischauer; inside a name, the initial consonant is soft.
    fn reischauer(self, begins: bool) -> String {
        let Self { soft, hard, vowels: (.., vowel), end } = self;
        let initial = if begins { hard } else { soft };
        format!("{initial}{vowel}{end}").replace("si", "shi")
    }

    /// Returns the romanizations with English vowels, with a soft and with a hard initial consonant.
    fn english(self) -> (String, String) {
        let Self { soft, hard, vowels: (_, vowel, _), end } = self;
        let vowel = match (soft, vowel, end) {
            ("", "oo", _) => "woo",
            ("", "yu", "ng") => "you",
            (_, vowel, _) => vowel,
        };
        let hard = if soft == "g" { hard } else { soft };
        (format!("{soft}{vowel}{end}"), format!("{hard}{vowel}{end}"))
    }

    fn spellings(self) -> Vec<String> {
        let (soft, hard) = self.english();
        let mut spellings = vec![self.revised()];
        for way in [hard, soft] {
            if !spellings.contains(&way) {
                spellings.push(way);
            }
        }
        spellings
    }
}

/// Returns the syllables of a text in Hangul; `None` if the text has other characters.
fn syllables(name: &str) -> Option<Vec<Syllable>> {
    let syllables: Option<Vec<_>> = name.chars().filter(|c| !matches!(c, ' ' | '-')).map(Syllable::of).collect();
    syllables.filter(|syllables| !syllables.is_empty())
}

/// Returns the romanizations of a name in Hangul, with hyphens between syllables; empty for any other name.
pub(super) fn spellings(name: &str) -> Vec<String> {
    let Some(syllables) = syllables(name) else { return Vec::new() };
    let joined = |spell: &dyn Fn(usize, &Syllable) -> String| {
        syllables.iter().enumerate().map(|(place, one)| spell(place, one)).collect::<Vec<_>>().join("-")
    };
    let mut ways = match syllables.as_slice() {
        [one] => one.spellings(),
        [one, other] => {
            let others = other.spellings();
            one.spellings().iter().flat_map(|one| others.iter().map(move |other| format!("{one}-{other}"))).collect()
        }
        _ => vec![joined(&|_, one| one.revised()), joined(&|_, one| one.english().1)],
    };
    ways.push(joined(&|place, one| one.reischauer(place == 0)));
    ways
}
