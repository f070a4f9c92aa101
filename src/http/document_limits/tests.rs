use std::fmt::Write as _;

use async_graphql::parser::parse_query;

use super::*;

/// Checks a document, in a thread with a smaller stack than that of tokio's workers.
fn check(text: &str) -> Result<(), TooLarge> {
    let text = text.to_owned();
    let run = move || match check_text(&text) {
        Ok(()) => parse_query(&text).map_or(Ok(()), |document| measure(&document)),
        Err(error) => Err(error),
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap().join().unwrap()
}

/// Returns a document of fragments that each spread the next one `times` times, so that the last one occurs `times` ^ `count`
/// times.
fn bomb(count: usize, times: usize, last: &str) -> String {
    let mut text = String::from("{ ...F0 }");
    for number in 0..count {
        let spread = format!("...F{} ", number + 1).repeat(times);
        write!(text, "fragment F{number} on Query {{ {spread} }}").unwrap();
    }
    write!(text, "fragment F{count} on Query {{ {last} }}").unwrap();
    text
}

#[test]
fn fragment_bombs_are_rejected() {
    assert_eq!(check(&bomb(24, 2, "a")), Err(TooLarge::Fields));
    assert_eq!(check(&bomb(9, 10, "a")), Err(TooLarge::Fields));
    assert_eq!(check(&bomb(24, 2, "...Missing")), Err(TooLarge::Fields));
    assert!(check(&bomb(1000, 2, "a")).is_err());
    assert_eq!(check(&bomb(300, 1, "a")), Err(TooLarge::Nesting));
}

#[test]
fn a_bomb_of_a_thousand_fragments_is_measured_without_its_text_limit() {
    let text = bomb(1000, 2, "a");
    let document =
        std::thread::Builder::new().stack_size(8 << 20).spawn(move || measure(&parse_query(text).unwrap())).unwrap();
    assert!(document.join().unwrap().is_err());
}

#[test]
fn fragment_cycles_are_rejected() {
    assert_eq!(check("{ ...A } fragment A on Query { ...A ...A }"), Err(TooLarge::FragmentCycle));
    assert_eq!(check("{ a } fragment A on Q { ...B ...B } fragment B on Q { ...A }"), Err(TooLarge::FragmentCycle));
}

#[test]
fn nesting_never_overflows_the_stack() {
    for depth in [60, 64, 65, 1_000, 16_000] {
        for (open, close) in [("{a", "}"), ("{...", "}"), ("{...on A", "}")] {
            let _ = check(&format!("{}{{a}}{}", open.repeat(depth), close.repeat(depth)));
        }
        for (open, close) in [("[", "]"), ("{a:", "}"), ("[{a:[", "]}]")] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for frame in ["{a(b:%)}", "query($a:A=%){a}", "{a@d(b:%)}", "{...@d(b:%){a}}", "query($a:%){a}"] {
                let _ = check(&frame.replace('%', &value));
            }
        }
        let types = format!("query($a:{}Int{}){{a}}", "[".repeat(depth), "]".repeat(depth));
        let _ = check(&types);
    }
    assert_eq!(check(&"[".repeat(30_000)), Err(TooLarge::Brackets));
    assert_eq!(check(&"{a".repeat(16_000)), Err(TooLarge::Brackets));
    assert_eq!(check(&"{a".repeat(100_000)), Err(TooLarge::Bytes));
    assert_eq!(check(&format!("{}{}", "{a".repeat(16), "}".repeat(16))), Err(TooLarge::Depth));
    assert_eq!(check(&format!("{}{}", "{a".repeat(15), "}".repeat(15))), Ok(()));
}

#[test]
fn brackets_in_strings_and_comments_do_not_count_and_hide_nothing() {
    let many = "[".repeat(100);
    for harmless in ["{a(b:\"@\")}", "{a(b:\"\\\"@\")}", "{a(b:\"\"\"\"@\\\"\"\"\"\"\")}", "#@\n{a}", "#@\r{a}"] {
        assert_eq!(check_text(&harmless.replace('@', &many)), Ok(()), "{harmless}");
    }
    for hidden in
        ["{a(b:\"\"@)}", "{a(b:[\"\"\" x\"@", "\"#\"@", "{a(b:\"\\\\\"@)}", "#\r@", "\"x\n@", "\"\"\"x\"\"\"@"]
    {
        assert_eq!(check_text(&hidden.replace('@', &many)), Err(TooLarge::Brackets), "{hidden}");
    }
    assert_eq!(check_text(&"\"\"\"".repeat(10_000)), Ok(()));
    assert!(check(&format!("{{a(b:\"{}\")}}", "x".repeat(32_000))).is_ok());
}

#[test]
fn aliases_root_fields_and_directives_are_counted_expanded() {
    let aliases = |count: usize| (0..count).fold(String::new(), |text, n| text + &format!("a{n}:b "));
    assert_eq!(check(&format!("{{a{{{}}}}}", aliases(30))), Ok(()));
    assert_eq!(check(&format!("{{a{{{}}}}}", aliases(31))), Err(TooLarge::Aliases));
    assert_eq!(check(&format!("{{{}}}", aliases(2_500))), Err(TooLarge::Fields));
    assert_eq!(check(&format!("{{a{{{}}}}}", aliases(10_000))), Err(TooLarge::Bytes));
    let twice = format!("{{a{{...A b{{...A}}}}}} fragment A on Q {{{}}}", aliases(16));
    assert_eq!(check(&twice), Err(TooLarge::Aliases));

    assert_eq!(check(&format!("{{{}}}", "a ".repeat(10))), Ok(()));
    assert_eq!(check(&format!("{{{}}}", "a ".repeat(11))), Err(TooLarge::RootFields));
    assert_eq!(check("{...A ...on Q{...A}} fragment A on Q {a b c d e f}"), Err(TooLarge::RootFields));
    assert_eq!(check("query A{a b c d e f} query B{a b c d e f}"), Ok(()));

    assert_eq!(check(&format!("{{a {}}}", "@d ".repeat(50))), Ok(()));
    assert_eq!(check(&format!("{{a {}}}", "@d ".repeat(51))), Err(TooLarge::Directives));
    assert_eq!(check(&format!("query($a:A{}){{a}}", "@d ".repeat(51))), Err(TooLarge::Directives));
    let spread = format!("{{...A a{{...A}}}} fragment A on Q {} {{a}}", "@d ".repeat(26));
    assert_eq!(check(&spread), Err(TooLarge::Directives));
}

#[test]
fn variables_of_one_operation_are_counted() {
    let variables = |count: usize| (0..count).fold(String::new(), |text, n| text + &format!("$v{n}:Int "));
    assert_eq!(check(&format!("query({}){{a}}", variables(250))), Ok(()));
    assert_eq!(check(&format!("query({}){{a}}", variables(251))), Err(TooLarge::DefinedVariables));
    assert_eq!(check(&format!("query A{{a}} query B({}){{a}}", variables(251))), Err(TooLarge::DefinedVariables));
}

#[test]
fn all_operations_together_are_bounded_and_so_is_the_walk_of_validation() {
    let fields = "a ".repeat(1_001);
    assert_eq!(check(&format!("query A{{x{{{fields}}}}} query B{{x{{{fields}}}}}")), Err(TooLarge::Fields));
    let mut wide = format!("{{x{{...Z}}}} fragment Z on Q{{{}}}", "a ".repeat(1_900));
    for number in 0..500 {
        write!(wide, "fragment A{number} on Q{{...Z}}").unwrap();
    }
    assert_eq!(check(&wide), Err(TooLarge::Fields));
}

#[test]
fn the_introspection_of_graphiql_passes() {
    let of_type = (0..9).fold(String::new(), |inner, _| format!("kind name ofType {{ {inner} kind name }}"));
    let input = "name description type { ...TypeRef } defaultValue isDeprecated deprecationReason";
    let text = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }}
           subscriptionType {{ name kind }} types {{ ...FullType }} directives {{ name description isRepeatable locations
           args(includeDeprecated: true) {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description specifiedByURL isOneOf
           fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...InputValue }}
             type {{ ...TypeRef }} isDeprecated deprecationReason }}
           inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
           possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ {input} }}
         fragment TypeRef on __Type {{ {of_type} }}"
    );
    assert!(parse_query(&text).is_ok());
    assert_eq!(check(&text), Ok(()));
}

#[test]
fn the_selected_operation_is_found_by_name() {
    let kind_of = |text: &str, name: Option<&str>| operation_type(&parse_query(text).unwrap(), name);
    let both = "query A{a} mutation B{b}";
    assert_eq!(kind_of(both, Some("B")), Some(OperationType::Mutation));
    assert_eq!(kind_of(both, Some("A")), Some(OperationType::Query));
    assert_eq!(kind_of(both, None), None);
    assert_eq!(kind_of(both, Some("C")), None);
    assert_eq!(kind_of("mutation B{b}", None), Some(OperationType::Mutation));
    assert_eq!(kind_of("subscription{b}", None), Some(OperationType::Subscription));
    assert_eq!(kind_of("{b}", Some("B")), None);
}
