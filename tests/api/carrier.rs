//! Sending emails to a real mail server and into a folder.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use roster::i18n::language::Language;
use roster::mail::SendError;
use roster::mail::smtp::Smtp as Line;
use roster::mail::smtp_url::{CustomCa, SmtpUrl};
use roster::mail::transport::{Destination, Outgoing, Transport, sender};
use roster::scalar::Id;
use tokio::time::timeout;

use crate::process::until;
use crate::smtp::{Behaviour, Encryption, Options, Smtp};
use crate::wire::TIMEOUT;

const PASSWORD: &str = "hunter-2-hunter";
const LOGIN: Option<(&str, &str)> = Some(("roster", PASSWORD));

fn transport_to(url: &str, authority: Option<&Smtp>, seconds: u64) -> Transport {
    let from = sender("Roster <roster@people.example.org>").unwrap();
    let authority = authority.map(|server| CustomCa::read(server.authority().to_str().unwrap()).unwrap());
    let relay = SmtpUrl::parse(url).unwrap();
    let line = Line::new(relay, authority.as_ref(), from.email.domain(), Duration::from_secs(seconds));
    Transport::new(from, Destination::Smtp(line.unwrap()))
}

fn mail(to: &str) -> Outgoing<'_> {
    Outgoing {
        id: Id::new(),
        to,
        subject: "Your account – welcome",
        text: "Hello Zoë,\n\n.\n..\nQUIT\nhttps://people.example.org/activate#token\n",
        html: "<p>Hello Zoë</p>\n",
        language: Language::French,
        written_at: DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap(),
    }
}

/// The reason why an email was not sent, as administrators see it.
async fn reason(transport: &Transport, mail: &Outgoing<'_>) -> String {
    let reason = transport.send(mail).await.expect_err("the email was sent").reason;
    let fits = !reason.is_empty() && reason.chars().count() <= 500 && !reason.contains(char::is_control);
    assert!(fits && !reason.contains("hunter"), "{reason:?}");
    reason
}

#[tokio::test]
async fn an_email_arrives_unchanged() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 60);
    let outgoing = mail("zoe@EXAMPLE.org");
    transport.send(&outgoing).await.unwrap();
    let mails = server.until(1).await;
    let received = &mails[0];
    assert_eq!(received.from, "roster@people.example.org");
    assert_eq!(received.recipients, ["zoe@example.org"]);
    assert_eq!(received.hello, "people.example.org");
    assert_eq!(received.subject.as_deref(), Some(outgoing.subject));
    assert_eq!(received.text.as_deref(), Some(outgoing.text));
    assert_eq!(received.html.as_deref(), Some(outgoing.html));
    let expected = [
        ("From", "Roster <roster@people.example.org>"),
        ("To", "zoe@example.org"),
        ("Date", "Fri, 15 Jan 2027 08:00:00 +0000"),
        ("Message-ID", &format!("<{}@people.example.org>", outgoing.id.0)),
        ("Auto-Submitted", "auto-generated"),
        ("Content-Language", "fr"),
        ("MIME-Version", "1.0"),
    ];
    for (name, value) in expected {
        assert_eq!(received.header(name), value);
    }
    assert!(received.header("Content-Type").starts_with("multipart/alternative"), "{:?}", received.headers);
    assert!(received.raw().is_ascii() && !received.encrypted && !received.signed_in);
    let raw = String::from_utf8(received.raw()).unwrap();
    assert!(raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])), "{raw:?}");
}

#[tokio::test]
async fn an_email_that_is_sent_again_keeps_its_message_id() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let outgoing = mail("ann@example.org");
    for _ in 0..2 {
        transport_to(&server.url(), None, 60).send(&outgoing).await.unwrap();
    }
    let mails = server.until(2).await;
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test]
async fn tls_certificates_are_verified_against_the_configured_ca() {
    for encryption in [Encryption::StartTls, Encryption::Always] {
        let Some(server) = Smtp::start(Options { encryption, login: LOGIN, utf8: false }) else { return };
        transport_to(&server.url(), Some(&server), 60).send(&mail("ann@example.org")).await.unwrap();
        let by_address = server.url().replace("@localhost:", "@127.0.0.1:");
        transport_to(&by_address, Some(&server), 60).send(&mail("ann@example.org")).await.unwrap();
        let mails = server.until(2).await;
        assert!(mails.iter().all(|mail| mail.encrypted && mail.signed_in), "{mails:#?}");

        let unknown = reason(&transport_to(&server.url(), None, 60), &mail("ann@example.org")).await;
        assert!(unknown.contains("UnknownIssuer"), "{unknown}");
        let stranger = Smtp::start(Options { encryption, login: LOGIN, utf8: false }).unwrap();
        let unknown = reason(&transport_to(&server.url(), Some(&stranger), 60), &mail("ann@example.org")).await;
        assert!(unknown.contains("certificate"), "{unknown}");
        assert_eq!(server.mails().len(), 2);
    }
}

#[tokio::test]
async fn nothing_is_sent_without_the_required_encryption() {
    let Some(server) = Smtp::start(Options { login: LOGIN, ..Options::default() }) else { return };
    let required = server.url().replace("?tls=none", "");
    let error_text = reason(&transport_to(&required, None, 60), &mail("ann@example.org")).await;
    assert!(error_text.contains("STARTTLS"), "{error_text}");
    let wrapped = required.replace("smtp:", "smtps:");
    reason(&transport_to(&wrapped, None, 2), &mail("ann@example.org")).await;
    assert!(server.mails().is_empty());
    let opportunistic = server.url().replace("none", "opportunistic");
    transport_to(&opportunistic, None, 60).send(&mail("ann@example.org")).await.unwrap();
    assert!(!server.until(1).await[0].encrypted);

    let Some(server) = Smtp::start(Options { encryption: Encryption::StartTls, ..Options::default() }) else { return };
    let opportunistic = server.url() + "?tls=opportunistic";
    transport_to(&opportunistic, Some(&server), 60).send(&mail("ann@example.org")).await.unwrap();
    assert!(server.until(1).await[0].encrypted);
    let never = reason(&transport_to(&(server.url() + "?tls=none"), None, 60), &mail("ann@example.org")).await;
    assert!(never.contains("530"), "{never}");
}

#[tokio::test]
async fn an_authentication_error_does_not_contain_the_password() {
    for encryption in [Encryption::Never, Encryption::StartTls, Encryption::Always] {
        let Some(server) = Smtp::start(Options { encryption, login: LOGIN, utf8: false }) else { return };
        let authority = (encryption != Encryption::Never).then_some(&server);
        transport_to(&server.url(), authority, 60).send(&mail("ann@example.org")).await.unwrap();
        // This server's response repeats the password in every form in which it received it.
        let wrong = server.url().replace(PASSWORD, "hunter-3-%22%3C");
        let error_text = reason(&transport_to(&wrong, authority, 60), &mail("ann@example.org")).await;
        assert_eq!(error_text, "the mail server answers 535 5.7.8 wrong: *** ***");
        let none = server.url().replace(&format!("roster:{PASSWORD}@"), "");
        for (url, code) in [(wrong, "535"), (none, "530")] {
            let error = transport_to(&url, authority, 60).send(&mail("ann@example.org")).await.unwrap_err();
            assert!(error.reason.contains(code) && !error.is_permanent, "a local misconfiguration: {error:?}");
        }
        assert_eq!(server.mails().len(), 1);
    }
}

#[tokio::test]
async fn errors_quote_the_response_of_the_mail_server() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 60);
    for (behaviour, expected, is_permanent) in [
        (Behaviour::Busy, "the mail server answers 421 4.3.2 too busy", false),
        (Behaviour::Closed, "the mail server answers 554 5.3.2 no mail today", false),
        (Behaviour::Refuse, "the mail server answers 451 4.3.0 try again later", false),
        (Behaviour::Reject, "the mail server answers 550 5.1.1 nobody has this address", true),
        (Behaviour::Spurn, "the mail server answers 554 5.6.0 nobody wants to read this", true),
    ] {
        server.behave(behaviour);
        let error = transport.send(&mail("ann@example.org")).await.unwrap_err();
        assert_eq!(error, SendError { reason: expected.to_owned(), is_permanent });
    }
    server.behave(Behaviour::Ok);
    transport.send(&mail("ann@example.org")).await.unwrap();
    assert_eq!(server.until(1).await.len(), 1);
}

#[tokio::test]
async fn a_slow_mail_server_times_out() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 1);
    for (behaviour, seconds, why) in
        [(Behaviour::Mute, 1, "was not ready"), (Behaviour::Late, 10, "did not accept the email")]
    {
        server.behave(behaviour);
        let start = Instant::now();
        let given_up = reason(&transport, &mail("bob@example.org")).await;
        assert_eq!(given_up, format!("the mail server {why} within {seconds} s"), "{behaviour:?}");
        let taken = start.elapsed();
        assert!(taken >= Duration::from_secs(seconds), "{behaviour:?}: {taken:?}");
    }
    server.behave(Behaviour::Ok);
    transport.send(&mail("eve@example.org")).await.unwrap();
    let recipients: Vec<_> = server.until(2).await.into_iter().flat_map(|mail| mail.recipients).collect();
    assert_eq!(recipients, ["bob@example.org", "eve@example.org"]);
}

#[tokio::test]
async fn an_unreachable_mail_server_is_reported_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The timeouts of the transport are an hour and more.
    let transport = transport_to(&format!("smtp://{free}?tls=none"), None, 3_600);
    let error_text = timeout(TIMEOUT, reason(&transport, &mail("ann@example.org"))).await.expect("an error");
    assert!(error_text.to_lowercase().contains("refused"), "{error_text}");
    let transport = transport_to("smtp://nowhere.invalid?tls=none", None, 3_600);
    timeout(TIMEOUT, reason(&transport, &mail("ann@example.org"))).await.expect("an error");
}

#[tokio::test]
async fn each_email_uses_its_own_connection_which_is_closed() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 20);
    for count in 1..=3 {
        transport.send(&mail("ann@example.org")).await.unwrap();
        assert_eq!(server.connections().0, count);
    }
    until(|| async { (server.connections().1 == 0).then_some(()) }).await.expect("the connection is closed");
}

#[tokio::test]
async fn addresses_beyond_ascii_are_delivered() {
    let Some(server) = Smtp::start(Options { utf8: true, ..Options::default() }) else { return };
    let transport = transport_to(&server.url(), None, 60);
    transport.send(&mail("zoë@MÜNCHEN.example")).await.unwrap();
    transport.send(&mail("zoe@münchen.example")).await.unwrap();
    let mails = server.until(2).await;
    assert_eq!(mails[0].recipients, ["zoë@xn--mnchen-3ya.example"]);
    assert_eq!(mails[0].header("To"), "zoë@xn--mnchen-3ya.example");
    assert_eq!(mails[1].recipients, ["zoe@xn--mnchen-3ya.example"]);

    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 60);
    let error_text = reason(&transport, &mail("zoë@example.org")).await;
    assert!(error_text.contains("SMTPUTF8"), "{error_text}");
    transport.send(&mail("zoe@münchen.example")).await.unwrap();
    assert_eq!(server.until(1).await[0].recipients, ["zoe@xn--mnchen-3ya.example"]);
}

#[tokio::test]
async fn no_address_adds_a_second_recipient() {
    let Some(server) = Smtp::start(Options { utf8: true, ..Options::default() }) else { return };
    let transport = transport_to(&server.url(), None, 60);
    let mut sent = Vec::new();
    for to in [
        "ann@example.org,eve@example.org",
        "ann@example.org, eve@example.org",
        "ann@example.org; eve@example.org",
        "ann@example.org eve@example.org",
        "ann@example.org\neve@example.org",
        "ann@example.org\r\nBcc: eve@example.org",
        "ann@example.org\r\nRCPT TO:<eve@example.org>",
        "ann@example.org>\r\nRCPT TO:<eve@example.org",
        "ann@example.org>,<eve@example.org",
        "ann@example.org\0eve@example.org",
        "Ann <ann@example.org>",
        "\"eve@example.org,\" <ann@example.org>",
        "friends: ann@example.org, eve@example.org;",
        "@eve.example.org:ann@example.org",
        "ann%eve.example.org@example.org",
        "ann@example.org@eve.example.org",
        "ann!eve@example.org",
        "\"quoted, local\"@example.org",
        "\"ann@example.org,eve\"@example.org",
        "\"ann> <eve\"@example.org",
        "\"ann\\\"@eve\"@example.org",
        "\"ann\r\nRCPT TO:<eve@example.org>\"@example.org",
        "ann\u{2028}eve@example.org",
        "ann，eve@example.org",
        "ann@example.org，eve@example.org",
        "ann＠eve.example.org",
        "-ann@example.org",
        "|eve@example.org",
    ] {
        let outcome = transport.send(&mail(to)).await;
        assert_eq!(server.mails().len(), sent.len() + usize::from(outcome.is_ok()), "{to:?}");
        if outcome.is_ok() {
            sent.push(to);
        }
    }
    let mails = server.mails();
    assert!(sent.contains(&"\"quoted, local\"@example.org") && sent.len() > 3, "{sent:#?}");
    for (to, mail) in sent.iter().zip(&mails) {
        assert_eq!(mail.recipients.len(), 1, "{to:?}");
        let raw = String::from_utf8(mail.raw()).unwrap();
        let head = raw.split("\r\n\r\n").next().unwrap();
        let names: Vec<&str> =
            head.split("\r\n").filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let expected = [
            "Date",
            "From",
            "To",
            "Subject",
            "Message-ID",
            "Content-Language",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
        ];
        assert_eq!(names, expected, "{to:?}");
    }
}

#[tokio::test]
async fn no_text_ends_an_email_or_starts_another() {
    let Some(server) = Smtp::start(Options::default()) else { return };
    let transport = transport_to(&server.url(), None, 60);
    let envelope = "MAIL FROM:<eve@example.org>";
    let texts = ["\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\0.\r\n", "."];
    for end in texts {
        let text = format!("Hello{end}{envelope}{end}RCPT TO:<ann@example.org>{end}DATA{end}");
        transport.send(&Outgoing { text: &text, html: &text, ..mail("ann@example.org") }).await.unwrap();
    }
    let mails = server.until(texts.len()).await;
    assert_eq!(mails.len(), texts.len());
    for mail in &mails {
        assert_eq!((mail.from.as_str(), mail.recipients.len()), ("roster@people.example.org", 1));
        let raw = String::from_utf8(mail.raw()).unwrap();
        assert!(!raw.replace("\r\n", "").contains(char::is_control), "control characters besides line ends: {raw:?}");
    }
}

#[tokio::test]
async fn without_a_mail_server_each_email_is_a_private_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("below/mail");
    let transport = Transport::new(sender("roster@people.example.org").unwrap(), Destination::Folder(folder.clone()));
    let outgoing: Vec<_> = (0..20).map(|_| mail("zoë@MÜNCHEN.example")).collect();
    for mail in &outgoing {
        transport.send(mail).await.unwrap();
    }
    // Sending the same email again does not create another file.
    transport.send(&outgoing[0]).await.unwrap();
    assert!(transport.send(&mail("ann@example.org\r\nBcc: eve@example.org")).await.is_err());
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected: Vec<_> = outgoing.iter().map(|mail| format!("{}.eml", mail.id.0)).collect();
    assert_eq!(names, expected);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in names {
        let file = folder.join(name);
        assert_eq!(mode(&file), 0o600);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("To: zoë@xn--mnchen-3ya.example\r\n") && text.trim_end().ends_with("--"), "{text}");
    }
    let blocked =
        Transport::new(sender("roster@people.example.org").unwrap(), Destination::Folder(dir.path().join("file/mail")));
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(reason(&blocked, &mail("ann@example.org")).await.contains("file/mail"));
}
