//! Password hashes of other systems: each is replaced by Roster's own hash at the first sign-in.

use roster::entity::{credential, user};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::doctor::findings;
use crate::process::{ADMIN, CommandOutput, Process, Sandbox};

/// Hashes of the test password by Django, passlib, crypt(3) and PHP, in the notations of Keycloak, LDAP servers and
/// `WordPress`.
const FOREIGN: [(&str, &str); 19] = [
    ("django-odd", "pbkdf2_sha256$1001$seasalt$mlqZ2TUjlmlth7JV2kgDrPN3bzT4jRoDOZUEsEPYhyI="),
    ("django-sha1", "pbkdf2_sha1$2600$seasalt$/uvYSbdrCQRgeJrI1nHMlnxjdMk="),
    ("django-md5", "md5$ttls3UuogWIk$d050972520d2b8d2b5d9b2e99740247c"),
    (
        "passlib",
        "$pbkdf2-sha512$200$ohRiTAmhdO59LyWkFAJgjA$xnOoy5kkrYuHyhJWg9ZOX0yhftOgfh7VdO.Zl/laUAhWVCk8X2qntmh5hgxC9vNutH2JLOlodACimv3.NFue.g",
    ),
    (
        "keycloak-argon2",
        "$argon2id$v=19$m=512,t=2,p=1$c2Vhc2FsdC1zZWFzYWx0IQ==$zKLRa838xhmH0Fjaa1e36SowrlRojZ7ko0jj6nxf1Uc=",
    ),
    (
        "keycloak-pbkdf2",
        "$pbkdf2-sha512$i=210,l=64$c2Vhc2FsdC1zZWFzYWx0IQ==$JWCyp5LrJYVHCzOeK8iz9TBaPhLlc6E3bt2LRyWnstnqjKek+04UoxUbRLNbAcm3d7YeE9Gb2StX/loIJGp1CA==",
    ),
    (
        "ldap-argon2",
        "{ARGON2}$argon2id$v=19$m=512,t=2,p=1$c2Vhc2FsdC1zZWFzYWx0IQ$zKLRa838xhmH0Fjaa1e36SowrlRojZ7ko0jj6nxf1Uc",
    ),
    ("ldap-crypt", "{CRYPT}$2y$05$abcdefghijklmnopqrstuu5mhhr/tjn4TNSO/BUCtjeDm2zZratpG"),
    ("ldap-blf", "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuu5mhhr/tjn4TNSO/BUCtjeDm2zZratpG"),
    ("ldap-ssha", "{SSHA}zklrLFBWc3KaR8xWCUtzbq1GThVrrVXq"),
    (
        "ldap-ssha512",
        "{ssha512}oBbYgwRrLPiVbUTzFExmSQaHnjqpxvxopcauT0aQc+fC0+UdL09t8VcTBClHutLkZG1YEdr46VwcK8B3Zpt7RoBwDsG419ob",
    ),
    ("ldap-pbkdf2", "{PBKDF2-SHA256}100$mlNKiVEqxViLMaa0ljJGCA$dhC6SHEDFjiVSdKzGfJ1Ws0qVfktkd.AS15zX6dJLHA"),
    (
        "crypt-sha512",
        "$6$rounds=1000$elYkvhvAVjvvaqFn$q3djsiOKPTRTgEM..Cj6iAtYwAjEadEhCWhr8R3VbB4EDRdjc4Xqd4JTD6lYs835auGrvqBFnl8udqu/VUVjQ/",
    ),
    ("crypt-sha256", "$5$rounds=1000$OTM6LJzp1FZ.NPjY$miTrreDo22w/7N4/x29v404p.HKKW/.Vs5JlqNkDkfA"),
    ("crypt-md5", "$1$wpmFtumg$pmB4MVG8bzPoRYqkAXhKl."),
    ("crypt-yescrypt", "$y$j75$F5Jx5fExrKuPp53xLKQ..1$nHRiGUF8P00CFgL/FUlBO98lKWEJPR8D3fon6hcK1N2"),
    ("phpass", "$P$56/3r0umhfIvavZMRYWXstxMfSM8pA1"),
    ("wordpress", "$wp$2y$05$abcdefghijklmnopqrstuuaVLOVA7gje1h5l/Mybvqd1e6CyIEGR."),
    ("trailing-blanks", "$2y$05$abcdefghijklmnopqrstuu5mhhr/tjn4TNSO/BUCtjeDm2zZratpG \n"),
];
/// The weak hashes among them, as `doctor` counts them.
const WEAK: &str = "1 MD5 crypt, 1 phpass (MD5), 1 salted MD5, 1 salted SHA-1, 1 salted SHA-512";

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

fn line(name: &str, hash: impl Into<Value>) -> String {
    let user = json!({ "firstName": "Ann", "lastName": name, "email": address(name), "passwordHash": hash.into() });
    json!({ "user": user }).to_string() + "\n"
}

async fn import(sandbox: &Sandbox, file: &str) -> CommandOutput {
    std::fs::write(sandbox.path("people.ndjson"), file).unwrap();
    sandbox.run(&["import", "people.ndjson"]).await
}

async fn hashes(sandbox: &Sandbox) -> Vec<String> {
    let stored = credential::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    stored.into_iter().map(|row| row.password_hash).collect()
}

/// The line of `roster doctor` about weak hashes.
async fn weak(sandbox: &Sandbox) -> String {
    let doctor = sandbox.run(&["doctor"]).await;
    assert!(findings(&doctor).iter().all(|finding| finding.starts_with("warning: weak password hashes")), "{doctor:?}");
    let line = doctor.out.lines().find_map(|line| line.strip_prefix("weak password hashes ")).unwrap_or_default();
    line.trim().to_owned()
}

async fn signs_in(server: &Process, name: &str, password: &str) -> bool {
    server.login(&address(name), password).await["success"] == json!(true)
}

in_every_sandbox! {
    async fn password_hashes_of_other_systems_work_and_are_replaced_at_sign_in(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let file: String = FOREIGN.iter().map(|(name, hash)| line(name, *hash)).collect();
        let output = import(&sandbox, &file).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        assert!(output.out.contains(&format!("{} were created", FOREIGN.len())), "{output:?}");
        assert!(output.out.contains(WEAK), "{output:?}");
        assert!(weak(&sandbox).await.starts_with(WEAK), "{}", weak(&sandbox).await);
        let server = sandbox.serve(&["--wrong-secrets-per-address", "1000"]).await;
        for (name, _) in FOREIGN {
            assert!(!signs_in(&server, name, "another-password-altogether").await, "{name}");
            assert!(signs_in(&server, name, PASSWORD).await, "{name}");
        }
        for hash in hashes(&sandbox).await {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{hash}");
        }
        for (name, _) in FOREIGN {
            assert!(signs_in(&server, name, PASSWORD).await, "{name}, by Roster's hash");
        }
        assert_eq!(weak(&sandbox).await, "none");
    }

    async fn a_marker_for_no_password_creates_a_user_without_one(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let marks = ["!", "!kkTI0jN98DJX36TvESFnMfabbK1lCWOgVG4hGclX", "*", "!!", "", "  "];
        let file: String = marks.iter().enumerate().map(|(n, mark)| line(&format!("n{n}"), *mark)).collect();
        let output = import(&sandbox, &(file + &line("null", Value::Null))).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        assert_eq!(output.out.trim(), "7 were created, 0 changed, 0 unchanged.", "{output:?}");
        assert_eq!(hashes(&sandbox).await.len(), 1, "only the administrator has a hash");
        let server = sandbox.serve(&[]).await;
        assert_eq!(server.login("n1@example.org", marks[1]).await["errors"], json!([{ "code": "INVALID_CREDENTIALS" }]));
        let root = server.sign_in(ADMIN).await;
        let user = root.data("{ user(by: { email: \"n1@example.org\" }) { hasActivated } }", json!({})).await;
        assert_eq!(user["user"]["hasActivated"], json!(false));
    }

    async fn an_unusable_hash_is_reported_and_the_user_is_still_imported(sandbox: Sandbox) {
        let bad = [
            ("unknown", "$argon2x$v=19$m=512,t=2,p=1$c2Vhc2FsdC1zZWFzYWx0IQ$zKLRa838", "unknown format (\"$argon2x$\")"),
            ("plain", "hunter2", "unknown format (without a prefix)"),
            ("des", "{CRYPT}50yGX1Bfgr3Pk", "unknown format (\"{CRYPT}\")"),
            ("damaged", "$2y$05$abcdefghijklmnopqrstuu5mhhr", "damaged password hash (\"$2y$\")"),
            ("greedy", "pbkdf2_sha256$4294967295$seasalt$mlqZ2TUjlmlth7JV2kgDrPN3bzT4jRoDOZUEsEPYhyI=", "too much work (\"pbkdf2_sha256$\")"),
            ("rounds", "$6$rounds=999999999$elYkvhvAVjvvaqFn$q3djsiOKPTRTgEM..Cj6iAtYwAjEadEhCWhr8R3VbB4EDRdjc4Xqd4JTD6lYs835auGrvqBFnl8udqu/VUVjQ/", "too much work (\"$6$\")"),
        ];
        let file: String = bad.iter().map(|(name, hash, _)| line(name, *hash)).chain([line("good", FOREIGN[0].1)]).collect();
        std::fs::write(sandbox.path("people.ndjson"), &file).unwrap();
        for (arguments, were) in [(&["import", "people.ndjson", "--dry-run"][..], "would be"), (&["import", "people.ndjson"], "were")] {
            let output = sandbox.run(arguments).await;
            assert_eq!(output.code, 0, "{output:?}");
            let errors: Vec<&str> = output.err.lines().collect();
            assert_eq!(errors.len(), bad.len(), "{output:?}");
            for (number, (error, (_, hash, expected))) in errors.iter().zip(bad).enumerate() {
                assert!(error.starts_with(&format!("line {}: passwordHash: ", number + 1)) && error.contains(expected), "{error}");
                let secret = hash.rsplit(['$', '}']).next().unwrap();
                assert!(!error.contains(secret), "{error}");
            }
            assert!(output.out.contains(&format!("7 {were} created")), "{output:?}");
            assert!(output.out.contains(&format!("6 {were} imported without a password")), "{output:?}");
        }
        assert_eq!(user::Entity::find().all(sandbox.db().await.read()).await.unwrap().len(), 7);
        assert_eq!(hashes(&sandbox).await, [FOREIGN[0].1]);
        // With another error, the line is not imported, and all of its errors are reported.
        let line_of_both = line("both", "hunter2").replace("Ann", " ");
        let output = import(&sandbox, &line_of_both).await;
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.err.contains("line 1: firstName: ") && output.err.contains("line 1: passwordHash: "), "{output:?}");
        // A value that is not a text does not prevent the import of the user either.
        let file = [json!(42), json!({ "value": "x", "salt": "y" }), json!(["a"]), json!(true)];
        let file: String = file.into_iter().enumerate().map(|(n, value)| line(&format!("value{n}"), value)).collect();
        let output = import(&sandbox, &file).await;
        assert_eq!((output.code, output.err.matches("passwordHash: a password hash of an unknown format").count()), (0, 4), "{output:?}");
        // A later import adds the hash.
        let output = import(&sandbox, &line("damaged", FOREIGN[7].1)).await;
        assert_eq!((output.code, output.out.trim()), (0, "0 were created, 1 changed, 0 unchanged."), "{output:?}");
        let server = sandbox.serve(&[]).await;
        assert!(signs_in(&server, "good", PASSWORD).await && signs_in(&server, "damaged", PASSWORD).await);
        assert!(!signs_in(&server, "plain", "hunter2").await);
    }

    async fn composed_and_decomposed_passwords_are_equal(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let (composed, decomposed) = ("Br\u{fc}ckenpfeiler-\u{c4}pfel-19", "Bru\u{308}ckenpfeiler-A\u{308}pfel-19");
        // Hashes of the composed and of the decomposed password by bcrypt and by OpenLDAP, and of a password normalized
        // by NFKC.
        let file = [
            line("nfc", "$2b$05$abcdefghijklmnopqrstuuxzzdD/uBELhV/d8.tf8aCVRqSpSDYna"),
            line("nfd", "$2b$05$abcdefghijklmnopqrstuuMnN/jkUu0c/ugq6TB0tcCJxJbz7RHW."),
            line("ldap-nfc", "{SSHA}VEgTSzrZ68vhc0XlBIG8taaBrdLD2Bvj"),
            line("ldap-nfd", "{SSHA}QIWnfQedcdO2wcWV7dg+RQLpm0Vbi7F2"),
            line("nfkc", "$2b$05$abcdefghijklmnopqrstuuketyawsYNv7Hcko/I6CNU/bcrO06nC."),
        ];
        let output = import(&sandbox, &file.concat()).await;
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{output:?}");
        let server = sandbox.serve(&[]).await;
        for (name, first, then) in [
            ("nfc", decomposed, composed),
            ("nfd", composed, decomposed),
            ("ldap-nfc", decomposed, decomposed),
            ("ldap-nfd", composed, composed),
            ("nfkc", "\u{ff22}r\u{fc}ckenpfeiler-\u{fb01}sch-19", "\u{ff22}ru\u{308}ckenpfeiler-\u{fb01}sch-19"),
        ] {
            assert!(!signs_in(&server, name, "Bruckenpfeiler-Apfel-19").await, "{name}: accents are significant");
            assert!(signs_in(&server, name, first).await, "{name}, by the imported hash");
            assert!(signs_in(&server, name, then).await, "{name}, by Roster's hash");
        }
        assert!(hashes(&sandbox).await.iter().all(|hash| hash.contains(",keyid=")));
    }
}
