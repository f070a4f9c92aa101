//! Normalization of the spacing, descriptions and escapes in a document. In GraphQL, ignored characters may stand between any two
//! tokens, a string may describe a definition, and a character above U+FFFF has two escapes. The parsers require `$` next to its
//! name, a type without gaps, no descriptions, and such a character itself.

use std::borrow::Cow;

use super::document_limits::skip_string;

/// Returns the document as the parsers require it: with the punctuation of variables and types next to its operand, and without
/// the escapes that they do not know. `$ a: [ Int ! ]` becomes `$a: [Int!]`; ignored characters move before `$` and `[`, and
/// after `!` and `]`.
pub fn tidy(text: &str) -> Cow<'_, str> {
    let mut tidied = Vec::with_capacity(text.len());
    let (mut prefix, mut whitespace) = (Vec::new(), Vec::new());
    let (mut rest, mut depth) = (text.as_bytes(), 0_usize);
    while let Some((&first, after)) = rest.split_first() {
        let length = token_length(rest, after);
        let (token, tail) = rest.split_at(length.min(rest.len()));
        rest = tail;
        match first {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match first {
            b'"' if depth == 0 && begins_definition(rest) => whitespace.extend(token.iter().map(|byte| blank(*byte))),
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#' => whitespace.extend_from_slice(token),
            _ if token == BYTE_ORDER_MARK => whitespace.extend_from_slice(token),
            b'$' | b'[' => {
                tidied.append(&mut whitespace);
                prefix.push(first);
            }
            b'!' | b']' => {
                tidied.append(&mut prefix);
                tidied.push(first);
            }
            _ => {
                tidied.append(&mut whitespace);
                tidied.append(&mut prefix);
                let is_string = first == b'"' && !token.starts_with(b"\"\"\"");
                if is_string { append_unescaped(&mut tidied, token) } else { tidied.extend_from_slice(token) }
            }
        }
    }
    tidied.append(&mut prefix);
    tidied.append(&mut whitespace);
    String::from_utf8(tidied).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Returns whether the next token begins a definition, which a string before it describes. The parsers do not know descriptions.
fn begins_definition(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let length = token_length(rest, after);
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#' => rest = rest.get(length..).unwrap_or_default(),
            _ => break,
        }
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let name = rest.get(..rest.iter().take_while(|byte| is_name(byte)).count()).unwrap_or_default();
    matches!(name, b"query" | b"mutation" | b"subscription" | b"fragment" | b"schema")
}

/// Returns a space, or the end of a line as it is, so that the lines of the document stay.
const fn blank(byte: u8) -> u8 {
    if matches!(byte, b'\n' | b'\r') { byte } else { b' ' }
}

/// Appends a string, with surrogate pairs and escapes in braces replaced by their characters.
fn append_unescaped(text: &mut Vec<u8>, string: &[u8]) {
    let mut rest = string;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, decode_escape(rest)) {
            (_, Some((character, tail))) => {
                match u16::try_from(u32::from(character)) {
                    Ok(unit) => text.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
                    Err(_) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                tail
            }
            (b'\\', None) => {
                let (pair, tail) = rest.split_at(rest.len().min(2));
                text.extend_from_slice(pair);
                tail
            }
            _ => {
                text.push(first);
                after
            }
        };
    }
}

/// Returns the character of a surrogate pair or of an escape in braces at the beginning of a text, and the text after it. U+0000
/// stays escaped, because no text may contain it.
fn decode_escape(text: &[u8]) -> Option<(char, &[u8])> {
    let after = text.strip_prefix(b"\\u")?;
    if let Some(braced) = after.strip_prefix(b"{") {
        let end = braced.iter().position(|byte| !byte.is_ascii_hexdigit())?;
        let (digits, tail) = braced.split_at(end);
        let character = char::from_u32(hexadecimal(digits)?).filter(|character| *character != '\0')?;
        return Some((character, tail.strip_prefix(b"}")?));
    }
    let (high, tail) = after.split_at_checked(4)?;
    let (low, tail) = tail.strip_prefix(b"\\u")?.split_at_checked(4)?;
    let units = [high, low].map(|digits| hexadecimal(digits).and_then(|unit| u16::try_from(unit).ok()));
    let [Some(high @ 0xd800..=0xdbff), Some(low)] = units else { return None };
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    Some((character, tail))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns the length in bytes of a string, a comment with the end of its line, or a byte order mark; 1 for anything else.
fn token_length(text: &[u8], after: &[u8]) -> usize {
    match text.first() {
        Some(b'"') => text.len() - skip_string(after).len(),
        Some(b'#') => text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(text.len(), |end| end + 1),
        _ if text.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn punctuation_moves_next_to_its_operand_and_escapes_are_decoded() {
        for (text, expected) in [
            (
                "query ( $ , a : [ [ Int ! ] ! ] ! = [ 1 , 2 ] ) { b }",
                "query (  , $a :   [[Int!]!]!      =  [1 , 2]  ) { b }",
            ),
            ("($\u{feff}a: [\n# x ]\nInt #!\n!])", "(\u{feff}$a: \n# x ]\n[Int!] #!\n)"),
            ("{ a(b: \"$ c [ ! \", d: \"\"\"$ \" [ e ]\"\"\") }", "{ a(b: \"$ c [ ! \", d: \"\"\"$ \" [ e ]\"\"\") }"),
            ("\"An a\" query { a(b: \"c\") }", "       query { a(b: \"c\") }"),
            ("{ a } \"\"\"$\nb\"\"\" # c\nfragment B on C { d }", "{ a }     \n     # c\nfragment B on C { d }"),
            ("\"An a\" { a }", "\"An a\" { a }"),
            ("\"a\" \"b\" query { a }", "\"a\"     query { a }"),
            ("# $ a [ ! \n{ a }", "# $ a [ ! \n{ a }"),
            ("{ a } # $", "{ a } # $"),
            ("$ [ é", "  $[é"),
            (r#""\ud83d\uDE00 \u{1F600} \u{e9} \u{22}""#, "\"\u{1f600} \u{1f600} \\u00e9 \\u0022\""),
            (
                r#""\\u{1F600} \u{0} \u{d800} \ud83d \u{} \u{110000} \u00e9""#,
                r#""\\u{1F600} \u{0} \u{d800} \ud83d \u{} \u{110000} \u00e9""#,
            ),
            ("\"\"\"\\u{e9}\"\"\"", "\"\"\"\\u{e9}\"\"\""),
        ] {
            assert_eq!(tidy(text), expected);
        }
    }
}
