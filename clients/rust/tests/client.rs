//! Tests of the client against the server at URL, as the administrator LOGIN with PASSWORD, and against servers that misbehave.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use roster_client::{ChangeKind, Error, ErrorCode, Id, LoginInput, NodeType, Roster, UpdateUserInput, User};
use uuid::Uuid;

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn visitor() -> Roster {
    Roster::new(&setting("URL"))
}

fn login(password: &str) -> LoginInput {
    LoginInput { login: setting("LOGIN"), password: Some(password.to_owned()) }
}

async fn administrator() -> (Roster, User) {
    let mut roster = visitor();
    roster.sign_in(login(&setting("PASSWORD"))).await.unwrap();
    let page = roster.users(1, None).await.unwrap();
    assert_eq!((page.total_count, page.page_info.has_next_page), (1, false));
    let [user] = <[User; 1]>::try_from(page.nodes).unwrap();
    (roster, user)
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_the_form() {
    let refused = visitor().sign_in(login("wrong")).await;
    let Err(Error::Invalid(errors)) = refused else { panic!("{refused:?}") };
    let all: Vec<_> = errors.form.iter().chain(errors.fields.values().flatten()).collect();
    assert!(all.iter().any(|error| error.code == ErrorCode::InvalidCredentials), "{errors:?}");
}

#[tokio::test]
async fn a_user_is_found_by_id() {
    let (roster, user) = administrator().await;
    let found = roster.user(user.id).await.unwrap().unwrap();
    assert_eq!((found.id, &found.full_name, found.date_joined), (user.id, &user.full_name, user.date_joined));
    assert!(roster.user(Id(Uuid::nil())).await.unwrap().is_none());
}

#[tokio::test]
async fn a_user_is_updated_and_the_change_is_followed_unless_the_input_is_wrong() {
    let (roster, user) = administrator().await;
    let mut changes = roster.changes(None).await.unwrap();

    let input = UpdateUserInput {
        position: Some("Nurse".to_owned()),
        phone: Some("none".to_owned()),
        ..UpdateUserInput::new(user.id)
    };
    let refused = roster.update_user(input).await;
    let Err(Error::Invalid(errors)) = refused else { panic!("{refused:?}") };
    assert_eq!(errors.fields["phone"][0].code, ErrorCode::Invalid);
    assert!(errors.fields.len() == 1 && errors.form.is_empty(), "{errors}");

    let birth_date = user.date_joined.date_naive().pred_opt();
    let input = UpdateUserInput { position: Some("Nurse".to_owned()), birth_date, ..UpdateUserInput::new(user.id) };
    let updated = roster.update_user(input).await.unwrap();
    assert_eq!((updated.position.as_deref(), updated.birth_date), (Some("Nurse"), birth_date));

    let change = changes.next().await.unwrap().unwrap();
    assert_eq!((change.kind, change.object_type, change.node_id), (ChangeKind::Updated, NodeType::User, user.id));
    let mut later = roster.changes(changes.position().map(str::to_owned)).await.unwrap();
    let input = UpdateUserInput { position: Some("Midwife".to_owned()), ..UpdateUserInput::new(user.id) };
    roster.update_user(input).await.unwrap();
    let second = later.next().await.unwrap().unwrap();
    assert_eq!((second.kind, second.changed_fields), (ChangeKind::Updated, vec!["position".to_owned()]));
}

#[tokio::test]
async fn a_request_without_a_session_is_an_error() {
    let refused = visitor().users(1, None).await;
    assert!(matches!(&refused, Err(Error::Refused { code, .. }) if code == "UNAUTHENTICATED"), "{refused:?}");
    let refused = visitor().changes(None).await.unwrap().next().await;
    assert!(matches!(&refused, Err(Error::Refused { code, .. }) if code == "UNAUTHENTICATED"), "{refused:?}");
}

#[tokio::test]
async fn a_user_signs_in_again_after_the_session_has_ended() {
    let mut roster = visitor().with_token("ros_ended");
    assert!(roster.users(1, None).await.is_err());
    roster.sign_in(login(&setting("PASSWORD"))).await.unwrap();
    assert_eq!(roster.users(1, None).await.unwrap().total_count, 1);
}

/// Starts a server that answers one request after another with these responses. Returns its URL.
fn answering(responses: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for response in responses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                assert!(request.read_line(&mut line).unwrap() > 0, "the request is incomplete");
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            request.read_exact(&mut vec![0; length]).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    url
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nid: 1\n\n";
const BAD_GATEWAY: &str =
    "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
const WELCOME: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 7\r\nconnection: close\r\n\r\nWelcome";

#[tokio::test]
async fn a_page_of_a_proxy_ends_the_changes_unless_the_proxy_waits_for_the_server() {
    let roster = Roster::new(&answering(&[STREAM, BAD_GATEWAY, WELCOME]));
    let mut changes = roster.changes(None).await.unwrap();
    let ended = changes.next().await;
    let Err(Error::Unexpected { status, media_type }) = ended else { panic!("{ended:?}") };
    assert_eq!((status, media_type.as_str(), changes.position()), (200, "text/html", Some("1")));
}

#[test]
fn tokens_and_passwords_are_not_printed() {
    let roster = Roster::new("http://roster.example.org").with_token("velvet");
    let input = LoginInput { login: "fern".to_owned(), password: Some("velvet".to_owned()) };
    let printed = format!("{roster:?} {input:?}");
    assert!(printed.contains("fern") && !printed.contains("velvet"), "{printed}");
}

#[test]
fn the_readme_shows_the_example() {
    assert!(include_str!("../README.md").contains(include_str!("../examples/first.rs")));
}
