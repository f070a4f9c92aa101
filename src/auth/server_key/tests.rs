//! The forms of keys, and their file.

use super::*;

#[test]
fn a_key_is_parsed_from_every_base64_and_shown_nowhere() {
    let key = Key::from([0xfb; 32]);
    let url_safe = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
    let standard = url_safe.replace('-', "+").replace('_', "/");
    for text in [url_safe.to_owned(), format!("{url_safe}="), standard.clone(), format!(" {standard}=\n")] {
        assert_eq!(Key::parse(&text).unwrap().as_bytes(), key.as_bytes(), "{text}");
    }
    for text in [
        "",
        "secret",
        url_safe.trim_start_matches('-'),
        &format!("{url_safe}A"),
        &format!("{url_safe}=="),
        &"f".repeat(64),
    ] {
        assert!(Key::parse(text).is_none(), "{text}");
    }
    let source = Source::Setting(key.clone().into());
    assert_eq!(format!("{source:?}"), "Setting(HeldKeys { first: Key, further: [] })");
    assert_ne!(key.fingerprint().get(..6), Some(&key.id()[..]));
}

#[test]
fn processes_that_create_the_file_at_once_get_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::File(dir.path().join("below/roster.key"));
    assert!(source.find().unwrap().is_none());
    let found: Vec<(HeldKeys, bool)> = std::thread::scope(|scope| {
        let create = || source.find_or_create().unwrap();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found.iter().filter(|(_, is_new)| *is_new).count(), 1);
    let keys: Vec<[u8; 32]> = found.iter().map(|(keys, _)| *keys.first().as_bytes()).collect();
    assert!(keys.iter().all(|key| Some(*key) == source.find().unwrap().map(|keys| *keys.first().as_bytes())));
    let left: Vec<_> =
        fs::read_dir(dir.path().join("below")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["roster.key"]);
}

#[test]
fn several_keys_are_separated_by_commas_or_lines() {
    let [old, new] = [Key::from([1; 32]), Key::from([2; 32])];
    let (one, two) = (old.to_base64(), new.to_base64());
    for text in [format!("{one},{two}"), format!("{one}\n{two}\n"), format!(" {one} ,\n\n{two}")] {
        let keys = HeldKeys::parse(&text).unwrap();
        let bytes: Vec<[u8; 32]> = keys.all().map(|key| *key.as_bytes()).collect();
        assert_eq!(bytes, [[1; 32], [2; 32]], "{text}");
        assert!(keys.find(&new.fingerprint_text()).is_some() && keys.find("").is_none());
        let kept = keys.without(&[old.fingerprint_text()]).unwrap();
        assert_eq!(kept.lines(), format!("{two}\n"));
        assert!(kept.without(&[new.fingerprint_text()]).is_none());
    }
    for text in ["", " ,\n", &format!("{one},secret"), &format!("{one}{two}")] {
        assert!(HeldKeys::parse(text).is_none(), "{text}");
    }
}

#[test]
fn a_file_is_replaced_with_all_keys() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::File(dir.path().join("roster.key"));
    let (first, is_new) = source.find_or_create().unwrap();
    assert!(is_new && !source.find_or_create().unwrap().1);
    let keys = first.clone().with(Key::from([2; 32]));
    source.replace(&keys).unwrap();
    assert_eq!(source.find().unwrap().unwrap().lines(), keys.lines());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(Source::Setting(first).replace(&keys).is_err());
}
