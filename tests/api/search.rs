//! Searching users.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use roster::entity::user::{self, UserFields};
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::crowd;

const SEARCH: &str =
    "query ($query: String!) { searchUsers(query: $query, first: 100) { totalCount nodes { firstName lastName } } }";

/// The full names of the users that a query finds, in the order of the list.
async fn found(caller: &Caller<'_>, query: &str) -> Vec<String> {
    let data = caller.data(SEARCH, json!({ "query": query })).await;
    let nodes = data["searchUsers"]["nodes"].as_array().unwrap();
    assert_eq!(data["searchUsers"]["totalCount"], json!(nodes.len()), "{query}");
    nodes
        .iter()
        .map(|node| format!("{} {}", node["firstName"].as_str().unwrap(), node["lastName"].as_str().unwrap()))
        .collect()
}

fn with(field: &str, value: &str) -> UserFields {
    let value = Given(value.to_owned());
    let mut fields = UserFields::default();
    match field {
        "username" => fields.username = value,
        "email" => fields.email = value,
        "certifiedEmail" => fields.certified_email = value,
        "nickname" => fields.nickname = value,
        "mobile" => fields.mobile = value,
        "externalId" => fields.external_id = value,
        _ => fields.position = value,
    }
    fields
}

/// A number in letters.
fn text_of(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'b')).collect()
}

async fn check(app: &App, names: &[(&str, &str)], cases: &[(&str, &[&str])]) {
    let user = app.user().await;
    crowd::users(app, names).await;
    for (query, expected) in cases {
        assert_eq!(found(&user, query).await, *expected, "{query}");
    }
}

on_every_database! {
    async fn a_word_is_found_in_five_fields_and_in_no_other(app: App) {
        let user = app.user().await;
        for (n, field) in ["username", "email", "certifiedEmail", "nickname", "mobile", "externalId", "position"].into_iter().enumerate() {
            let value = match field { "email" | "certifiedEmail" => "qwx7@x.example", "mobile" => "7qwx7", _ => "aqwx7" };
            app.create(&format!("{n} {field}"), app.license, with(field, value), Undefined).await;
        }
        app.create("Qwx7", app.license, UserFields::default(), Undefined).await;
        crowd::users(&app, &[("Last", "Vonqwx7")]).await;
        let expected = ["Qwx7 Tester", "1 email Tester", "2 certifiedEmail Tester", "0 username Tester", "Last Vonqwx7"];
        assert_eq!(found(&user, "QWX7").await, expected);
    }

    async fn all_words_must_match_in_any_order_across_fields(app: App) {
        let user = app.user().await;
        app.create("Maria", app.license, with("email", "garcia@clinic.example"), Undefined).await;
        app.create("Marian", app.license, with("email", "other@clinic.example"), Undefined).await;
        for query in ["maria garcia", "GARCIA maria", "cia tester MAR", "clinic maria garcia", " garcia\u{3000}maria ", "garcia\tmaria\n", "maria maria garcia"] {
            assert_eq!(found(&user, query).await, ["Maria Tester"], "{query:?}");
        }
        assert_eq!(found(&user, "maria clinic").await, ["Maria Tester", "Marian Tester"]);
        assert_eq!(found(&user, "maria nobody").await, [""; 0]);
        assert_eq!(found(&user, "mariagarcia").await, [""; 0], "a word does not span two fields");
    }

    async fn case_and_accents_are_ignored(app: App) {
        let names = [("Søren", "Ångström"), ("José", "Muñoz"), ("Łukasz", "Straße"), ("Zoe\u{308}", "Nguyễn"), ("ｗｉｄｅ", "Ⅳ")];
        check(&app, &names, &[
            ("angstrom", &["Søren Ångström"]), ("SOREN ÅNGSTRÖM", &["Søren Ångström"]), ("jose munoz", &["José Muñoz"]), ("JOSE\u{301}", &["José Muñoz"]),
            ("lukasz STRASSE", &["Łukasz Straße"]), ("straße", &["Łukasz Straße"]), ("zoë nguyen", &["Zoe\u{308} Nguyễn"]), ("WIDE iv", &["ｗｉｄｅ Ⅳ"]),
        ]).await;
    }

    async fn words_of_one_and_two_letters_are_found(app: App) {
        let names = [("Bo", "Xu"), ("Al", "Qvist"), ("Ed", "Quist")];
        check(&app, &names, &[("bo", &["Bo Xu"]), ("xu BO", &["Bo Xu"]), ("q", &["Ed Quist", "Al Qvist"]), ("qv al", &["Al Qvist"]), ("qu quist e", &["Ed Quist"]), ("zq", &[])]).await;
    }

    async fn query_syntax_of_databases_is_matched_literally(app: App) {
        let user = app.user().await;
        let names = [("100%", "Sure"), ("A_B", "Under"), ("A\\B", "Back"), ("\"Q\"", "Quote"), ("St*r", "Star"), ("Near", "Far"), ("And", "Or"), ("-Not", "Minus"),
            ("^Caret", "Hat"), ("col:on", "Col"), ("(Par)", "En"), ("O'Neil", "Apo"), ("a+b", "Plus"), ("{x}", "Brace"), ("AxB", "Other")];
        crowd::users(&app, &names).await;
        let cases: [(&str, &[&str]); 29] = [
            ("%", &["100% Sure"]), ("100%", &["100% Sure"]), ("0%", &["100% Sure"]), ("%%", &[]), ("%u%", &[]), ("_", &["A_B Under"]), ("a_b", &["A_B Under"]), ("___", &[]),
            ("\\", &["A\\B Back"]), ("a\\b", &["A\\B Back"]), ("\\%", &[]), ("\"q\"", &["\"Q\" Quote"]), ("*", &["St*r Star"]),
            ("st*r", &["St*r Star"]), ("s*", &[]), ("near", &["Near Far"]), ("NEAR(far zz)", &[]), ("AND", &["And Or"]), ("far OR and", &[]), ("-not", &["-Not Minus"]),
            ("^car", &["^Caret Hat"]), ("^nea", &[]), ("^near", &["Near Far"]), ("search_key:near", &[]), ("l:o", &["col:on Col"]), ("(par)", &["(Par) En"]), ("o'neil", &["O'Neil Apo"]), ("a+b", &["a+b Plus"]),
            ("'; DROP TABLE users; --", &[]),
        ];
        for (query, expected) in cases {
            assert_eq!(found(&user, query).await, expected, "{query}");
        }
    }

    async fn names_of_every_script_are_found(app: App) {
        let names = [("Ελένη", "Παπαδοπούλου"), ("Σίσυφος", "Οδυσσέας"), ("Наталья", "Щёголева"), ("小明", "王"), ("민수", "김"), ("محمد", "علي"), ("दीपिका", "शर्मा"), ("さくら", "ガンダム")];
        check(&app, &names, &[
            ("ελενη", &["Ελένη Παπαδοπούλου"]), ("ΠΑΠΑΔΟΠΟΎΛΟΥ", &["Ελένη Παπαδοπούλου"]), ("σισυφοσ", &["Σίσυφος Οδυσσέας"]), ("ΣΊΣΥΦΟΣ ΟΔΥΣΣΈΑΣ", &["Σίσυφος Οδυσσέας"]),
            ("НАТАЛЬЯ щеголева", &["Наталья Щёголева"]), ("щё", &["Наталья Щёголева"]), ("王", &["小明 王"]), ("王 小明", &["小明 王"]), ("王小明", &["小明 王"]), ("明", &["小明 王"]),
            ("김", &["민수 김"]), ("김 민수", &["민수 김"]), ("김민수", &["민수 김"]), ("수", &["민수 김"]), ("محمد", &["محمد علي"]), ("शर्मा", &["दीपिका शर्मा"]), ("ガン", &["さくら ガンダム"]), ("さくら", &["さくら ガンダム"]),
        ]).await;
    }

    async fn a_blank_or_too_long_query_is_rejected(app: App) {
        let user = app.user().await;
        for query in ["", " ", "\t\n", "\u{3000}\u{a0}", "\u{301}", "\u{a8}", "\u{200b}", "\u{1}", "\"", "\"\"\"", "()", ", ;", "“”", "…", "—", "’", "。", "- / -", "mailto:"] {
            assert_eq!(user.error_code(SEARCH, json!({ "query": query })).await, "BAD_USER_INPUT", "{query:?}");
        }
        for query in ["é".repeat(201), "x".repeat(20_000)] {
            assert_eq!(user.error_code(SEARCH, json!({ "query": query })).await, "BAD_USER_INPUT");
        }
        for query in ["é".repeat(200), "a ".repeat(100), "abc ".repeat(50), "😀".repeat(200), "%".repeat(200), "\u{202e}abc".to_owned(), "\u{fdfa}".repeat(200)] {
            found(&user, &query).await;
        }
    }

    async fn a_query_with_too_many_words_is_rejected(app: App) {
        let user = app.user().await;
        crowd::users(&app, &[("Ada", "Bcdefghijk")]).await;
        let ten = "a b c d e f g h i j";
        assert_eq!(found(&user, &format!("{ten} A J {ten}")).await, ["Ada Bcdefghijk"], "the same word counts once");
        for query in [format!("{ten} k"), format!("{ten},k"), (b'a'..=b'z').flat_map(|letter| [char::from(letter), ' ']).collect()] {
            let answer = user.execute(SEARCH, json!({ "query": query })).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], json!("BAD_USER_INPUT"), "{query}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.starts_with("query: must have at most 10 different words (got "), "{message}");
        }
    }

    async fn punctuation_around_and_between_words_separates_them(app: App) {
        let user = app.user().await;
        crowd::users(&app, &[("Wei", "Li"), ("Emil", "Sandoval"), ("Máire", "O’Shea"), ("Emilia", "Lindt")]).await;
        app.create("Zoran", app.license, with("email", "zh1@field.example.org"), Undefined).await;
        app.create("Zora", app.license, with("email", "others@field.example.org"), Undefined).await;
        app.create("Otto", app.license, with("email", "o'shea/x@field.example.org"), Undefined).await;
        let scores = "query ($query: String!) { searchUsers(query: $query) { edges { score matchedFields node { firstName } } } }";
        for (plain, queries) in [
            ("wei li", &["\"Wei Li\"", "“Wei Li”", "‘Wei Li’", "「Wei Li」", "(Wei) [Li]", "Wei,Li", "Wei;Li", "Wei/Li", "Wei\u{200b}Li", "Wei\u{3001}Li", "Wei — Li", "{Wei|Li}", "'Wei Li'."][..]),
            ("li wei", &["Li,Wei", "Li, Wei", "Li (Wei)", "«Li» ‹Wei›", "Li;Wei;"]),
            ("emil sandoval", &["\"Emil Sandoval\"", "Emil\u{200b}Sandoval", "<Emil Sandoval>", "*Emil Sandoval*", "Emil·Sandoval"]),
            ("sandoval emil", &["Sandoval (Emil)", "Sandoval,Emil", "Sandoval، Emil"]),
            ("li", &["(Li)", "\"Li\"", "Li;", "'Li'", "Li!", "¿Li?"]),
            ("o'shea", &["O’Shea", "\"O’Shea\"", "'O'Shea'", "(OʼShea)", "O‘SHEA", "O`Shea", "O´Shea", "O′Shea"]),
            ("zh1@field.example.org", &["mailto:zh1@field.example.org", "<zh1@field.example.org>", "zh1@field.example.org;", "\"zh1@field.example.org\"", "MAILTO:ZH1@field.example.org?subject=x"]),
            ("zoran zh1@field.example.org", &["Zoran <zh1@field.example.org>", "\"Zoran\" <mailto:zh1@field.example.org>"]),
            ("o'shea/x@field.example.org", &["O’Shea/x@field.example.org", "(o'shea/x@field.example.org)"]),
        ] {
            let expected = user.data(scores, json!({ "query": plain })).await;
            assert_ne!(expected["searchUsers"]["edges"], json!([]), "{plain}");
            for query in queries {
                assert_eq!(user.data(scores, json!({ "query": query })).await, expected, "{query}");
            }
        }
        assert_eq!(found(&user, "mailto:zh1@field.example.org").await, ["Zoran Tester"]);
        assert_eq!(found(&user, "o'shea/x@field.example.org").await, ["Otto Tester"]);
        assert_eq!(found(&user, "o'shea").await, ["Máire O’Shea", "Otto Tester"]);
    }

    async fn combining_marks_that_are_letters_distinguish_names(app: App) {
        let names = [("राम", "वर्मा"), ("रमा", "वर्मा"), ("रीमा", "वर्मा"), ("रोमी", "वर्मा"), ("ปิติ", "ใจดี"), ("ปุตุ", "ใจดี"), ("ดำ", "ใจดี"), ("か", "さ"), ("が", "ざ"), ("한", "김"), ("하", "기")];
        check(&app, &names, &[
            ("राम", &["राम वर्मा"]), ("रमा", &["रमा वर्मा"]), ("रोमी", &["रोमी वर्मा"]), ("ปิติ", &["ปิติ ใจดี"]), ("ดำ", &["ดำ ใจดี"]), ("ด\u{e4d}า", &["ดำ ใจดี"]), ("か", &["か さ"]), ("が", &["が ざ"]),
            ("カ\u{3099}", &["が ざ"]), ("하", &["하 기"]), ("\u{1112}\u{1161}\u{11ab}", &["한 김"]),
        ]).await;
    }

    async fn spelling_variants_match_exactly(app: App) {
        let user = app.user().await;
        let names = [("علی", "کریمی"), ("علي", "كريمي"), ("فاطمة", "٤٢٧٩٦٠١٣"), ("ليلى", "أمين"), ("Leilani", "Kaʻahumanu"), ("Anne‐Lise", "Krüger–Voẞ"), ("ハルカ", "スズキ"), ("伟", "张"), ("偉", "張")];
        crowd::users(&app, &names).await;
        let query = "query ($query: String!) { searchUsers(query: $query) { edges { score node { firstName } } } }";
        for (words, count) in [
            ("علی", 2), ("علي", 2), ("على", 2), ("كريمي", 2), ("کریمی", 2), ("كــريمى", 2), ("فاطمه", 1), ("فاطمہ", 1), ("42796013", 1), ("۴۲۷۹۶۰۱۳", 1), ("ليلي", 1), ("لیلی", 1), ("امین", 1), ("ﻟﻴﻠﻰ", 1),
            ("ka'ahumanu", 1), ("ka’ahumanu", 1), ("anne-lise", 1), ("ANNE—LISE", 1), ("KRÜGER-VOSS", 1), ("krüger−voß", 1), ("すずき", 1), ("ｽｽﾞｷ", 1), ("はるか", 1), ("张", 2), ("張", 2), ("偉", 2),
        ] {
            let edges = user.data(query, json!({ "query": words })).await["searchUsers"]["edges"].clone();
            let scores: Vec<f64> = edges.as_array().unwrap().iter().map(|edge| edge["score"].as_f64().unwrap()).collect();
            assert_eq!(scores, vec![1.0; count], "{words}: {edges}");
        }
        assert_eq!(found(&user, "kaahumanu").await, ["Leilani Kaʻahumanu"]);
    }

    async fn results_are_paged_in_the_order_of_names(app: App) {
        let user = app.user().await;
        let names: Vec<(String, String)> = (0..25).map(|n| (format!("Finn {}", n % 4), format!("Page {}", n % 3))).collect();
        crowd::users(&app, &names.iter().map(|(first, last)| (first.as_str(), last.as_str())).collect::<Vec<_>>()).await;
        let expected = found(&user, "finn page").await;
        assert_eq!(expected.len(), 25);
        let (mut ids, mut after, mut names) = (Vec::new(), Value::Null, Vec::new());
        loop {
            let document = "query ($after: String) { searchUsers(query: \"page FINN\", first: 4, after: $after) { totalCount edges { cursor node { id firstName lastName } } pageInfo { hasNextPage endCursor } } }";
            let page = user.data(document, json!({ "after": after })).await["searchUsers"].clone();
            assert_eq!(page["totalCount"], json!(25));
            for edge in page["edges"].as_array().unwrap() {
                ids.push(edge["node"]["id"].as_str().unwrap().to_owned());
                names.push(format!("{} {}", edge["node"]["firstName"].as_str().unwrap(), edge["node"]["lastName"].as_str().unwrap()));
            }
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(names, expected);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 25);
    }

    async fn a_search_reflects_every_change(app: App) {
        let license_admin = app.license_admin().await;
        let ada = app.create("Adaxyz", app.license, UserFields::default(), Undefined).await;
        assert_eq!(found(&license_admin, "adaxyz").await, ["Adaxyz Tester"]);
        license_admin.mutate("updateUser", "", json!({ "id": ada.id.0, "firstName": "Evaxyz", "certifiedEmail": "pqrs@x.example" })).await;
        assert_eq!(found(&license_admin, "adaxyz").await, [""; 0]);
        assert_eq!(found(&license_admin, "evaxyz pqrs").await, ["Evaxyz Tester"]);
        license_admin.mutate("updateUser", "", json!({ "id": ada.id.0, "certifiedEmail": null })).await;
        assert_eq!(found(&license_admin, "pqrs").await, [""; 0]);
        license_admin.mutate("setActive", "", json!({ "id": ada.id.0, "active": false })).await;
        assert_eq!(found(&license_admin, "evaxyz").await, [""; 0]);
    }

    async fn inactive_and_filtered_users_do_not_displace_other_results(app: App) {
        let license_admin = app.license_admin().await;
        let domain = |mut user: user::Model, active: bool| {
            user.email = Some(format!("{}@hospital.example", user.id.0));
            user.is_active = active;
            user.update_derived();
            user
        };
        let gone = (0..300).map(|n| domain(crowd::model(app.license, "Gone", &format!("Before {n}")), false));
        let here = (0..30).map(|n| domain(crowd::model(app.license, "Here", &format!("Garcia {n}")), true));
        let mut users: Vec<user::Model> = gone.chain(here).collect();
        users.last_mut().unwrap().position = Some("Librarian".to_owned());
        users.iter_mut().for_each(user::Model::update_derived);
        crowd::store(&app, users).await;
        for query in ["hospital", "ospital", "hopsital", "garzia", "hospital garcia", "heer garzia"] {
            assert_eq!(found(&license_admin, query).await.len(), 30, "{query}");
            let document = "query ($query: String!) { searchUsers(query: $query, filter: { position: { eq: \"librarian\" } }) { totalCount nodes { lastName } } }";
            let data = license_admin.data(document, json!({ "query": query })).await["searchUsers"].clone();
            assert_eq!(data, json!({ "totalCount": 1, "nodes": [{ "lastName": "Garcia 29" }] }), "{query}");
        }
    }

    async fn a_login_is_found_among_very_many_users_with_that_name(app: App) {
        let user = app.user().await;
        let many: Vec<(String, String)> = (0..150).map(|n| ("Zora".to_owned(), format!("Many {n}"))).collect();
        crowd::users(&app, &many.iter().map(|(first, last)| (first.as_str(), last.as_str())).collect::<Vec<_>>()).await;
        app.create("Quill", app.license, with("username", "zora"), Undefined).await;
        app.create("Wren", app.license, with("email", "zora@wren.example"), Undefined).await;
        let first = "{ searchUsers(query: \"zora\", first: 100, filter: { firstName: { startsWith: \"Q\" } }) { nodes { firstName } } }";
        assert_eq!(user.data(first, json!({})).await["searchUsers"]["nodes"], json!([{ "firstName": "Quill" }]));
        let page = "query ($after: String) { searchUsers(query: \"zora\", first: 100, after: $after) { pageInfo { endCursor } nodes { firstName } } }";
        let first = user.data(page, json!({})).await["searchUsers"]["pageInfo"]["endCursor"].clone();
        let second = user.data(page, json!({ "after": first })).await["searchUsers"]["nodes"].clone();
        assert!(second.as_array().unwrap().contains(&json!({ "firstName": "Quill" })), "{second}");
        assert_eq!(found(&user, "ZORA@wren.example").await, ["Wren Tester"]);
        assert_eq!(found(&user, "zora@wern.example").await, ["Wren Tester"], "a typo in an address");
    }

    async fn words_of_another_license_do_not_displace_results(app: App) {
        let (user, stranger) = (app.user().await, app.other_license_user().await);
        let many: Vec<user::Model> = (0..120).map(|n| crowd::model(app.license, &format!("Quo{}", text_of(n)), "Common")).collect();
        crowd::store(&app, many).await;
        app.create("Quozzz", app.other_license, UserFields::default(), Undefined).await;
        for query in ["quozzz", "quozz", "uozzz", "quozxz", "zzz"] {
            assert_eq!(found(&stranger, query).await, ["Quozzz Tester"], "{query}");
            assert!(!found(&user, query).await.contains(&"Quozzz Tester".to_owned()), "{query}");
        }
    }

    async fn a_search_is_limited_to_the_license(app: App) {
        let (user, stranger, root) = (app.user().await, app.other_license_user().await, app.superuser().await);
        assert_eq!(found(&user, "stranger").await, [""; 0]);
        assert_eq!(found(&stranger, "stranger").await, ["Stranger Tester"]);
        assert_eq!(found(&stranger, "tester").await, ["Stranger Tester"]);
        assert_eq!(found(&root, "stranger").await, ["Stranger Tester"]);
        assert_eq!(app.anonymous().error_code(SEARCH, json!({ "query": "tester" })).await, "UNAUTHENTICATED");
    }

    async fn each_edge_shows_the_matched_fields_and_the_score(app: App) {
        let license_admin = app.license_admin().await;
        let fields = UserFields { username: Given("otter".to_owned()), email: Given("seal@otter.example".to_owned()), ..UserFields::default() };
        app.create("Otterley", app.license, fields, Undefined).await;
        let query = "query ($query: String!) { searchUsers(query: $query) { edges { score matchedFields node { firstName } } } }";
        let cases = [
            ("OTTER", 1.0, json!(["USERNAME", "FIRST_NAME", "EMAIL"])),
            ("otterl", 0.85, json!(["FIRST_NAME"])),
            ("terley seal", f64::midpoint(0.6, 0.855), json!(["FIRST_NAME", "EMAIL"])),
        ];
        for (words, score, fields) in cases {
            let edge = license_admin.data(query, json!({ "query": words })).await["searchUsers"]["edges"][0].clone();
            assert!((edge["score"].as_f64().unwrap() - score).abs() < 1e-9, "{words}: {edge}");
            assert_eq!(edge["matchedFields"], fields, "{words}");
            assert_eq!(edge["node"]["firstName"], "Otterley");
        }
    }
}
