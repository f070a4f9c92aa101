//! The export of traces, and its refusal by a program that was built without it.

#[cfg(feature = "otlp")]
mod exported;

#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn a_program_that_was_built_without_the_export_refuses_a_collector_and_names_the_feature() {
    let sandbox = crate::process::Sandbox::on_sqlite();
    let url = "http://127.0.0.1:4318";
    std::fs::write(sandbox.path("roster.toml"), format!("otlp-endpoint = {url:?}\n")).unwrap();
    let by_flag = sandbox.run(&["--otlp-endpoint", url]).await;
    let by_file = sandbox.run(&["--config", "roster.toml"]).await;
    let mut command = sandbox.command(&[]);
    let mut by_variable = sandbox.start(command.env("ROSTER_OTLP_ENDPOINT", url), "");
    assert_eq!((by_flag.code, by_file.code, by_variable.code().await), (2, 2, 2), "{by_flag:?} {by_file:?}");
    for err in [by_flag.err, by_file.err, by_variable.err()] {
        assert!(err.contains("otlp-endpoint") && err.contains("the cargo feature `otlp`"), "{err}");
    }
    assert!(!sandbox.path("roster-data").exists());
}
