//! Other spellings of names.

use any_ascii::any_ascii;
use deunicode::deunicode_with_tofu;
use unicode_normalization::UnicodeNormalization;
use wana_kana::ConvertJapanese;

use super::{fold, korean};

/// Family names and their usual spellings, one name per line.
const FAMILY_NAMES: &str = include_str!("family_names.txt");

/// Kana for foreign names that Hepburn's system does not have (Cabinet notice 2 of 1991 on the writing of foreign words).
const FOREIGN_KANA: [(&str, &str); 24] = [
    ("ふぁ", "fa"),
    ("ふぃ", "fi"),
    ("ふぇ", "fe"),
    ("ふぉ", "fo"),
    ("ゔぁ", "va"),
    ("ゔぃ", "vi"),
    ("ゔぇ", "ve"),
    ("ゔぉ", "vo"),
    ("ゔ", "vu"),
    ("てぃ", "ti"),
    ("でぃ", "di"),
    ("とぅ", "tu"),
    ("どぅ", "du"),
    ("でゅ", "dyu"),
    ("うぃ", "wi"),
    ("うぇ", "we"),
    ("うぉ", "wo"),
    ("しぇ", "she"),
    ("じぇ", "je"),
    ("ちぇ", "che"),
    ("つぁ", "tsa"),
    ("つぇ", "tse"),
    ("つぉ", "tso"),
    ("くぁ", "kwa"),
];

/// The maximum length of a spelling, in characters: some signs are many letters in another script.
const MAX_SPELLING_LENGTH: usize = 100;

/// Returns the spellings of a name other than [`fold`], each folded: umlauts spelled out (`Müller` is also `mueller`), other
/// scripts in Latin letters (`Щербакова` is also `shcherbakova`), and several parts joined (`O'Brien` is also `obrien`).
#[must_use]
pub fn spellings(name: &str) -> Vec<String> {
    Spellings::of(name).others
}

/// Returns the spellings of a last name other than [`fold`]: those of [`spellings`], the usual ones of Korean family names, and
/// the last name before the first name if the two are written without a space.
#[must_use]
pub fn spellings_of_last(first: &str, last: &str) -> Vec<String> {
    let mut spellings = Spellings::of(last);
    of_family(&spellings.folded.clone()).for_each(|way| spellings.add(way));
    if [first, last].iter().all(|name| name.chars().all(is_written_together)) {
        spellings.add(&fold(&format!("{last}{first}")));
    }
    spellings.others
}

/// Returns the usual spellings of a folded family name; empty if it is not in the table.
fn of_family(folded: &str) -> impl Iterator<Item = &'static str> {
    let line = FAMILY_NAMES.lines().find(|line| line.split(' ').next() == Some(folded));
    line.into_iter().flat_map(|line| line.split(' ').skip(1))
}

/// The other spellings of a name, each once.
struct Spellings {
    folded: String,
    others: Vec<String>,
}

impl Spellings {
    fn of(name: &str) -> Self {
        let mut spellings = Self { folded: fold(name), others: Vec::new() };
        spellings.add(&spellings.folded.clone());
        spellings.add(&fold(&spelt_out(name)));
        if !spellings.folded.is_ascii() {
            // Two transliterations, because neither has all usual spellings. An apostrophe stands for a soft sign.
            for latin in [deunicode_with_tofu(name, ""), any_ascii(name)] {
                let latin = fold(latin.replace(['\'', '`', '"'], "").trim());
                spellings.add(&latin.replace("iya", "ia").replace("iia", "ia"));
                spellings.add(&latin);
            }
            for way in of_kana(&spellings.folded).into_iter().chain(korean::spellings(&spellings.folded)) {
                spellings.add(&way);
            }
        }
        spellings
    }

    /// Adds a spelling, and the same as one word.
    fn add(&mut self, way: &str) {
        let one: String = way.chars().filter(|c| super::is_of_word(*c)).collect();
        for way in [way, &one] {
            let way: String = way.chars().take(MAX_SPELLING_LENGTH).collect();
            if !way.is_empty() && way != self.folded && !self.others.contains(&way) {
                self.others.push(way);
            }
        }
    }
}

/// Returns whether a character is Chinese, Japanese or Korean.
fn is_written_together(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3134f}')
}

fn spelt_out(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len());
    for c in name.nfc() {
        match c {
            'ä' | 'Ä' => spelt.push_str("ae"),
            'ö' | 'Ö' | 'ø' | 'Ø' => spelt.push_str("oe"),
            'ü' | 'Ü' => spelt.push_str("ue"),
            'å' | 'Å' => spelt.push_str("aa"),
            'ō' | 'Ō' => spelt.push_str("ou"),
            'ū' | 'Ū' => spelt.push_str("uu"),
            c => spelt.push(c),
        }
    }
    spelt
}

/// Returns the romanizations of a name in hiragana: by Hepburn's system with long vowels doubled, and as in Japanese passports
/// without them, with `h`, or with `m` before labials (Ministry of Foreign Affairs); and by Kunrei-shiki (ISO 3602). Empty for
/// any other name.
fn of_kana(folded: &str) -> Vec<String> {
    let is_kana = |c: char| matches!(c, '\u{3041}'..='\u{3096}' | '\u{3099}' | '\u{309a}' | 'ー' | '·' | '-' | ' ');
    if !folded.chars().all(is_kana) {
        return Vec::new();
    }
    // The crate's romanization of a length mark depends on its neighbours.
    let native = FOREIGN_KANA.iter().fold(folded.replace('ー', "="), |text, (kana, latin)| text.replace(kana, latin));
    let latin = native.to_romaji().replace('\'', "").replace("cch", "tch");
    let long = lengthened(&latin);
    let short = latin.replace('=', "").replace("ou", "o").replace("oo", "o").replace("uu", "u");
    let with_h = long.replace("ou", "oh").replace("oo", "oh");
    let labial = short.replace("nb", "mb").replace("np", "mp").replace("nm", "mm");
    let kunrei = [kunrei(&long), kunrei(&short)];
    [long, short, with_h, labial].into_iter().chain(kunrei).collect()
}

/// Replaces each length mark of a romanization by the vowel before it.
fn lengthened(latin: &str) -> String {
    let mut long = String::with_capacity(latin.len());
    for c in latin.chars() {
        match (c, long.chars().next_back()) {
            ('=', Some(vowel)) => long.push(vowel),
            ('=', None) => {}
            (c, _) => long.push(c),
        }
    }
    long
}

/// Converts a romanization by Hepburn's system to Kunrei-shiki.
fn kunrei(hepburn: &str) -> String {
    const PAIRS: [(&str, &str); 9] = [
        ("shi", "si"),
        ("sh", "sy"),
        ("tch", "cch"),
        ("chi", "ti"),
        ("ch", "ty"),
        ("tsu", "tu"),
        ("fu", "hu"),
        ("ji", "zi"),
        ("j", "zy"),
    ];
    PAIRS.iter().fold(hepburn.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_also_found_as_others_would_write_it() {
        for (name, ways) in [
            ("Müller", &["mueller"][..]),
            ("Bjørn", &["bjoern"]),
            ("O'Brien", &["obrien"]),
            ("O’Brien", &["obrien"]),
            ("Anna Maria", &["annamaria"]),
            ("Jörg-Uwe", &["jorguwe", "joerg-uwe", "joerguwe"]),
            ("Мария", &["maria", "mariia", "mariya"]),
            ("小明", &["xiao ming", "xiaoming"]),
            ("Yūko", &["yuuko"]),
            ("Ada", &[]),
        ] {
            assert_eq!(spellings(name), ways, "{name}");
        }
    }

    #[test]
    fn kana_is_romanized_in_the_usual_ways() {
        for (name, ways) in [
            ("スズキ", &["suzuki"][..]),
            ("さとう", &["satou", "sato", "satoh"]),
            ("オオノ", &["oono", "ono", "ohno"]),
            ("ゆうこ", &["yuuko", "yuko"]),
            ("サトー", &["satoo", "sato", "satoh"]),
            ("しゅんいち", &["shunichi", "syuniti"]),
            ("ちづる", &["chizuru", "tizuru"]),
            ("ほんま", &["honma", "homma"]),
            ("ふじた", &["fujita", "huzita"]),
            ("ハットリ", &["hattori"]),
            ("えっちゅう", &["etchu", "etchuu"]),
            ("ﾐﾄﾞﾘ", &["midori"]),
            ("ステファニー", &["sutefanii", "sutefani"]),
            ("ヴィクトル", &["vikutoru"]),
        ] {
            let spellings = spellings(name);
            for way in ways {
                assert!(spellings.iter().any(|one| one == way), "{name} {way}: {spellings:?}");
            }
        }
    }

    #[test]
    fn korean_and_chinese_names_are_romanized_in_the_usual_ways() {
        for (first, ways) in [
            ("민수", &["minsu", "min-su", "minsoo", "min-soo"][..]),
            ("지은", &["jieun", "ji-eun", "jiun", "chiun"]),
            ("영희", &["younghee", "young-hee", "yeonghui", "yonghui"]),
            ("현우", &["hyunwoo", "hyeonu", "hyeonwoo", "hyun-woo"]),
            ("정훈", &["junghoon", "jeonghun", "jeong-hoon", "chonghun"]),
            ("경숙", &["kyungsook", "gyeongsuk", "kyung-sook"]),
            ("동건", &["donggeon", "dong-gun", "tonggon"]),
            ("준", &["jun", "joon", "chun"]),
        ] {
            let spellings = spellings(first);
            for way in ways {
                assert!(spellings.iter().any(|one| one == way), "{first} {way}: {spellings:?}");
            }
        }
        for (last, ways) in [
            ("김", &["kim", "gim"][..]),
            ("박", &["park", "bak", "pak"]),
            ("이", &["lee", "i", "yi", "rhee"]),
            ("최", &["choi", "choe"]),
            ("정", &["jung", "jeong", "chung"]),
            ("황보", &["hwangbo"]),
            ("남궁", &["namgung", "namkoong"]),
            ("單", &["shan", "dan"]),
            ("曾", &["zeng"]),
            ("呂", &["lu", "lv", "lyu"]),
            ("尉遲", &["yuchi"]),
        ] {
            let spellings = spellings_of_last("민수", last);
            for way in ways.iter().copied().chain([fold(&format!("{last}민수")).as_str()]) {
                assert!(spellings.iter().any(|one| one == way), "{last} {way}: {spellings:?}");
            }
        }
        assert!(spellings("민수").len() < 24);
    }
}
