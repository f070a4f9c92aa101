//! Licenses, as operators create and extend them.

use chrono::Days;
use roster::scalar::{Date, Id};
use serde_json::json;

use crate::app::{App, PASSWORD};
use crate::process::{ADMIN, Sandbox};

fn in_days(days: i64) -> String {
    let (ahead, ago) = (Days::new(days.max(0).unsigned_abs()), Days::new(days.min(0).unsigned_abs()));
    (Date::today().0 + ahead - ago).to_string()
}

/// Number, last day, whether it has expired, and the number of users, as `license list` shows them.
async fn listed(sandbox: &Sandbox) -> Vec<[String; 4]> {
    let list = sandbox.run(&["license", "list"]).await;
    assert_eq!(list.code, 0, "{list:?}");
    let rows = list.out.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), 7, "{line}");
        [cells[0], cells[4], cells[5], cells[6]].map(str::to_owned)
    });
    rows.collect()
}

in_every_sandbox! {
    async fn a_license_is_created_listed_and_gets_an_administrator(sandbox: Sandbox) {
        let created = sandbox.run(&["license", "create", "--number", " L-1 ", "--holder", "Maison Aurélie, Lyon", "--kind", "private", "--starts-on", "2026-01-01", "--expires-on", "2126-12-31"]).await;
        assert_eq!(created.code, 0, "{created:?}");
        assert!(created.out.contains("L-1") && created.out.contains("2026-01-01") && created.out.contains("2126-12-31"), "{}", created.out);
        assert!(created.out.contains("roster admin create --license L-1"), "{}", created.out);
        assert_eq!(sandbox.run(&["license", "create", "--number", "L-2", "--holder", "Birch Institute"]).await.code, 0);
        let names = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
        let several = sandbox.run_with(&names, PASSWORD).await;
        assert!(several.code == 1 && several.err.contains("--license") && several.err.contains("license list"), "{several:?}");
        let unknown = sandbox.run_with(&[&names[..], &["--license", "L-9"]].concat(), PASSWORD).await;
        assert!(unknown.code == 1 && unknown.err.contains("L-9") && unknown.err.contains("license create"), "{unknown:?}");
        assert_eq!(sandbox.run_with(&[&names[..], &["--license", "L-1"]].concat(), PASSWORD).await.code, 0);

        let list = sandbox.run(&["license", "list"]).await.out;
        for printed in ["NUMBER", "HOLDER", "KIND", "FIRST DAY", "LAST DAY", "EXPIRED", "USERS", "Maison Aurélie, Lyon", "private", "commercial", "2026-01-01"] {
            assert!(list.contains(printed), "{printed}: {list}");
        }
        let expected = [["L-1", "2126-12-31", "no", "1"], ["L-2", "none", "no", "0"]];
        assert_eq!(listed(&sandbox).await, expected);
        let server = sandbox.serve(&[]).await;
        let viewer = server.sign_in(ADMIN).await;
        let license = viewer.data("{ viewer { license { number name kind holder startsOn expiresOn isExpired } } }", json!({})).await;
        assert_eq!(license["viewer"]["license"], json!({ "number": "L-1", "name": "L-1/Maison Aurélie, Lyon/2126-12-31", "kind": "PRIVATE",
            "holder": "Maison Aurélie, Lyon", "startsOn": "2026-01-01", "expiresOn": "2126-12-31", "isExpired": false }));
    }

    async fn an_administrator_sees_only_their_own_license(sandbox: Sandbox) {
        for number in ["L-1", "L-2"] {
            assert_eq!(sandbox.run(&["license", "create", "--number", number, "--holder", "Alder"]).await.code, 0);
        }
        let create = async |email: &str, more: &[&str]| {
            let names = ["admin", "create", "--password-stdin", "--email", email, "--first-name", "Ann", "--last-name", "Alder"];
            sandbox.run_with(&[&names[..], more].concat(), PASSWORD).await
        };
        assert_eq!(create(ADMIN, &["--license", "L-1"]).await.code, 0);
        let created = create("ann@example.org", &["--license", "L-2", "--license-admin"]).await;
        assert!(created.code == 0 && created.out.contains("now administers license L-2"), "{created:?}");
        let server = sandbox.serve(&[]).await;
        let ann = server.sign_in("ann@example.org").await;
        let seen = ann.data("{ viewer { role fullSiteAccess adminRights { isSuperuser } license { number } } users { totalCount } }", json!({})).await;
        assert_eq!(seen, json!({
            "viewer": { "role": "LICENSE_ADMIN", "fullSiteAccess": true, "adminRights": { "isSuperuser": false }, "license": { "number": "L-2" } },
            "users": { "totalCount": 1 },
        }));
        let root = server.sign_in(ADMIN).await;
        assert_eq!(root.data("{ users { totalCount } }", json!({})).await["users"]["totalCount"], json!(2));
    }

    async fn users_cannot_sign_in_before_the_license_starts(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["license", "create", "--number", "L-1", "--holder", "Alder", "--starts-on", &in_days(2)]).await.code, 0);
        let names = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
        assert_eq!(sandbox.run_with(&names, PASSWORD).await.code, 0);
        let server = sandbox.serve(&[]).await;
        let payload = server.login(ADMIN, PASSWORD).await;
        assert_eq!(payload["errors"][0]["code"], "INACTIVE", "{payload:#}");
    }

    async fn an_invalid_license_is_rejected_with_every_error(sandbox: Sandbox) {
        let good = sandbox.run(&["license", "create", "--number", &"é".repeat(50), "--holder", &"é".repeat(200)]).await;
        assert_eq!(good.code, 0, "{good:?}");
        let bad = sandbox.run(&["license", "create", "--number", &"x".repeat(51), "--holder", " ", "--starts-on", "2027-01-02", "--expires-on", "2027-01-01"]).await;
        assert_eq!(bad.code, 1);
        for field in ["number", "holder", "expiresOn"] {
            assert!(bad.err.contains(field), "{field}: {}", bad.err);
        }
        let taken = sandbox.run(&["license", "create", "--number", &"é".repeat(50), "--holder", &"x".repeat(201)]).await;
        assert!(taken.code == 1 && taken.err.contains("number: This license number is taken.") && taken.err.contains("holder: Must be at most 200"), "{taken:?}");
        let taken = sandbox.run(&["license", "create", "--number", &"é".repeat(50), "--holder", "Other"]).await;
        assert!(taken.code == 1 && taken.err.contains("number: This license number is taken."), "{taken:?}");
        let unknown = sandbox.run(&["license", "extend", "--number", "L-9", "--no-end"]).await;
        assert!(unknown.code == 1 && unknown.err.contains("L-9") && unknown.err.contains("license list"), "{unknown:?}");
        let early = sandbox.run(&["license", "extend", "--number", &"é".repeat(50), "--expires-on", "2020-01-01"]).await;
        assert!(early.code == 1 && early.err.contains("expiresOn") && early.err.contains("before the first"), "{early:?}");
        assert_eq!(listed(&sandbox).await.len(), 1);
    }

    async fn a_license_gets_another_number_and_holder(sandbox: Sandbox) {
        for number in ["L-1", "L-2"] {
            assert_eq!(sandbox.run(&["license", "create", "--number", number, "--holder", "Alder"]).await.code, 0);
        }
        let rename = async |how: &[&str]| sandbox.run(&[&["license", "rename", "--number", "L-1"], how].concat()).await;
        let taken = rename(&["--new-number", "L-2"]).await;
        assert!(taken.code == 1 && taken.err.contains("number: This license number is taken."), "{taken:?}");
        let blank = rename(&["--holder", " "]).await;
        assert!(blank.code == 1 && blank.err.contains("holder"), "{blank:?}");
        assert_eq!(rename(&[]).await.code, 2);
        assert!(rename(&["--holder", "Alder"]).await.out.contains("nothing was changed"));
        let renamed = rename(&["--new-number", "L-9", "--holder", "Birch"]).await;
        assert_eq!((renamed.code, renamed.out.trim()), (0, "License L-1 of Alder is now license L-9 of Birch."), "{renamed:?}");
        assert!(rename(&["--holder", "Birch"]).await.err.contains("there is no license with the number L-1"));
        assert_eq!(sandbox.run(&["audit", "verify"]).await.code, 0);
    }

    async fn users_have_no_access_while_their_license_is_expired(sandbox: Sandbox) {
        assert_eq!(sandbox.run(&["license", "create", "--number", "L-1", "--holder", "Alder", "--starts-on", "2020-01-01", "--expires-on", &in_days(0)]).await.code, 0);
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let viewer = server.sign_in(ADMIN).await;
        let operations = async || viewer.try_execute("{ viewer { email } }", &json!({})).await.unwrap();
        let signs_in = async || server.login(ADMIN, PASSWORD).await["success"] == json!(true);
        assert_eq!(operations().await["data"]["viewer"]["email"], json!(ADMIN), "the last day is valid");
        let extend = async |how: &[&str]| {
            let done = sandbox.run(&[&["license", "extend", "--number", "L-1"], how].concat()).await;
            assert_eq!(done.code, 0, "{done:?}");
            done.out
        };
        let printed = extend(&["--expires-on", &in_days(-1)]).await;
        assert!(printed.contains(&in_days(-1)) && printed.contains(&format!("previously it ended on {}", in_days(0))) && printed.contains("no longer have access"), "{printed}");
        assert_eq!(operations().await["errors"][0]["extensions"]["code"], json!("UNAUTHENTICATED"), "access ends at once");
        assert!(!signs_in().await);
        assert_eq!(listed(&sandbox).await, [["L-1", &in_days(-1), "yes", "1"]]);
        let printed = extend(&["--no-end"]).await;
        assert!(printed.contains("has no end") && printed.contains(&in_days(-1)), "{printed}");
        assert_eq!(operations().await["data"]["viewer"]["email"], json!(ADMIN), "sessions survive the expiry");
        assert!(signs_in().await);
        assert!(extend(&["--no-end"]).await.contains("already"));
        assert!(extend(&["--expires-on", &in_days(400)]).await.contains("previously it had no end date"));

        let events = "{ auditEvents(filter: { action: [LICENSE_CREATED, LICENSE_EXTENDED] }) { nodes { action actor { id } subject { __typename } changes { field before after } } } }";
        let events = viewer.data(events, json!({})).await["auditEvents"]["nodes"].clone();
        let event = |before: Option<String>, after: Option<String>| {
            let change = json!({ "field": "expiresOn", "before": before, "after": after });
            json!({ "action": "LICENSE_EXTENDED", "actor": null, "subject": { "__typename": "License" }, "changes": [change] })
        };
        let fields = [("number", "L-1"), ("holder", "Alder"), ("kind", "COMMERCIAL"), ("startsOn", "2020-01-01"), ("expiresOn", &in_days(0))];
        let changes = fields.map(|(field, after)| json!({ "field": field, "before": null, "after": after }));
        let created = json!({ "action": "LICENSE_CREATED", "actor": null, "subject": { "__typename": "License" }, "changes": changes });
        assert_eq!(events, json!([
            event(None, Some(in_days(400))), event(Some(in_days(-1)), None), event(Some(in_days(0)), Some(in_days(-1))), created,
        ]));
        assert_eq!(sandbox.run(&["audit", "verify"]).await.code, 0);
    }
}

#[tokio::test]
async fn an_invalid_date_is_reported_before_anything_happens() {
    let sandbox = Sandbox::on_sqlite();
    let create = ["license", "create", "--number", "L-1", "--holder", "Alder"];
    let extend = ["license", "extend", "--number", "L-1"];
    for (flag, command) in [("--starts-on", &create[..]), ("--expires-on", &create), ("--expires-on", &extend)] {
        for day in ["2027-02-29", "tomorrow", "1/2/2027", "2027-1-2", ""] {
            let failed = sandbox.run(&[command, &[&format!("{flag}={day}")]].concat()).await;
            assert!(failed.code == 2 && failed.err.contains(flag), "{flag}={day}: {failed:?}");
        }
    }
    for arguments in
        [&extend[..], &["license", "extend", "--no-end"], &["license", "create", "--number", "L-1"], &["license"]]
    {
        assert_eq!(sandbox.run(arguments).await.code, 2, "{arguments:?}");
    }
    let both = sandbox.run(&[&extend[..], &["--no-end", "--expires-on", "2027-01-01"]].concat()).await;
    assert!(both.code == 2 && both.err.contains("--no-end"), "{both:?}");
    assert_eq!(sandbox.run(&[&create[..], &["--kind", "public"]].concat()).await.code, 2);
    assert!(!sandbox.path("roster-data").exists());
}

on_every_database! {
    async fn license_administrators_rename_their_license(app: App) {
        let (license_admin, admin, superuser) = (app.license_admin().await, app.admin().await, app.superuser().await);
        let input = |license: Id, holder: &str| json!({ "id": license.0, "holder": holder });
        let renamed = license_admin.mutate("renameLicense", "message license { holder name }", input(app.license, " Birch Trust ")).await;
        assert_eq!(renamed["license"], json!({ "holder": "Birch Trust", "name": "A-1/Birch Trust/" }), "{renamed:#}");
        let shown = app.user().await.data("{ viewer { license { holder } } }", json!({})).await;
        assert_eq!(shown["viewer"]["license"]["holder"], json!("Birch Trust"));
        let rename = "mutation ($input: RenameLicenseInput!) { renameLicense(input: $input) { success errors { code path } } }";
        for (holder, code) in [(" ".to_owned(), "REQUIRED"), ("x".repeat(201), "TOO_LONG")] {
            let refused = license_admin.data(rename, json!({ "input": input(app.license, &holder) })).await;
            let errors = json!([{ "code": code, "path": ["input", "holder"] }]);
            assert_eq!(refused["renameLicense"], json!({ "success": false, "errors": errors }));
        }
        let other = license_admin.data(rename, json!({ "input": input(app.other_license, "Mine") })).await;
        assert_eq!(other["renameLicense"]["errors"], json!([{ "code": "NOT_FOUND", "path": ["input", "id"] }]));
        assert_eq!(admin.error_code(rename, json!({ "input": input(app.license, "Mine") })).await, "FORBIDDEN");
        assert_eq!(superuser.mutate("renameLicense", "", input(app.other_license, "Cedar")).await["success"], json!(true));
    }

    async fn every_instance_knows_at_once_that_a_license_has_expired(app: App) {
        let (user, stranger) = (app.user().await, app.other_license_user().await);
        let until = async |days: Option<i64>| {
            let last = days.map(|days| Date::parse(&in_days(days)).unwrap());
            roster::license::extend(&app.db, "A-1", last).await
        };
        assert!(until(Some(-1)).await.is_err(), "the end cannot be before the first day, which is today");
        // Moves the start of the license one year back.
        let starts_on = Date::parse(&in_days(-365)).unwrap();
        crate::crowd::backdate(&app, app.license, starts_on).await;
        for (days, responses) in [(Some(-1), false), (Some(0), true), (Some(-300), false), (None, true)] {
            until(days).await.unwrap();
            let response = user.execute("{ viewer { id } }", json!({})).await;
            assert_eq!(response["data"]["viewer"]["id"] == json!(user.id()), responses, "{days:?}: {response:#}");
            assert_eq!(stranger.data("{ viewer { id } }", json!({})).await["viewer"]["id"], json!(stranger.id()));
        }
    }
}
