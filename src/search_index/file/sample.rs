//! A fingerprint of the rules by which users are indexed: a few users are indexed and written as in the file. A change of the
//! rules of folding, of words, of scores or of the format changes what is written.

use std::sync::LazyLock;

use uuid::Uuid;

use super::Encoder;
use crate::entity::user;
use crate::scalar::Id;
use crate::search_index::segment::Segment;
use crate::search_index::{IndexedUser, IndexedUsers};

/// First names, last names, usernames and addresses of various kinds.
const USERS: [[&str; 4]; 8] = [
    ["Anna", "Smith", "anna.smith42", "anna.smith42@example.org"],
    ["Jörg-Uwe", "Müller-Lüdenscheid", "jum_7", "jörg@münchen.example"],
    ["Bartholomäus", "O'Brien", "b'ob", "b-o.brien@mail.example.org"],
    ["小明", "김", "u300", "xiao@oncology.example.com"],
    ["Наталья", "Щербакова", "nata", "nata+roster@example.org"],
    ["Seán", "van der Strauß", "Sean.Van", "sean@smith-clinic.example"],
    ["मीरा", "شاهين", "meera", "m@1.example"],
    ["さくら", "Łukasz İpek", "SAKURA", "sakura@example.org"],
];

/// Returns the checksum of the sample, as it is indexed.
pub(super) fn checksum() -> u32 {
    static CHECKSUM: LazyLock<u32> = LazyLock::new(|| crc32fast::hash(&encoded()));
    *CHECKSUM
}

fn encoded() -> Vec<u8> {
    let mut users = IndexedUsers::default();
    for (number, [first_name, last_name, username, email]) in (1..).zip(USERS) {
        let license_id = Id(Uuid::from_u128(number % 2));
        let mut user = user::Model::empty(Id(Uuid::from_u128(number)), license_id);
        (user.first_name, user.last_name) = (first_name.to_owned(), last_name.to_owned());
        (user.username, user.email) = (Some(username.to_owned()), Some(email.to_owned()));
        user.certified_email = Some(format!("{username}@pec.example.it"));
        user.update_derived();
        users.push(IndexedUser { id: user.id, license_id, is_active: number > 2, key: &user.search_key });
    }
    let mut output = Encoder::new(Vec::new());
    let encoded = Segment::build(&users).encode(&mut output).and_then(|()| output.finish());
    // Nothing fails that is written to memory.
    encoded.unwrap_or_default()
}
