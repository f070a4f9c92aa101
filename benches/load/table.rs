//! The results as text.

use crate::figures::{Comparison, Engine, Figure, Import, Round};

/// The heading of the table whose rows [`print_last`] prints. "times poem" is the processor time as a multiple of the
/// time of the workload `poem`, likewise for the others.
pub const HEAD: &str = "\
workload   concur-  requests       p50       p99 server CPU  db CPU     CPU    times    times    times    other
             rency  per sec.        ms        ms     us/req  us/req  us/req     poem typename      SQL    CPU %";

/// Prints the last figure, compared with the floors that were measured before it.
pub fn print_last(figures: &[Figure]) {
    let Some(last) = figures.last() else { return };
    let times = |floor: &str| {
        let at = |figure: &&Figure| figure.workload == floor;
        let same = |figure: &&Figure| at(figure) && figure.concurrency == last.concurrency;
        let floor = figures.iter().find(same).or_else(|| figures.iter().find(at));
        floor.map_or("-".to_owned(), |floor| format!("{:.1}", last.cpu() / floor.cpu()))
    };
    println!(
        "{:<10}{:>8}{:>10.0}{:>10.2}{:>10.2}{:>11.0}{:>8.0}{:>8.0}{:>9}{:>9}{:>9}{:>9.0}{}",
        last.workload,
        last.concurrency,
        last.per_second,
        last.p50,
        last.p99,
        last.server,
        last.database,
        last.cpu(),
        times("poem"),
        times("typename"),
        times(&format!("{}-sql", last.workload)),
        last.others,
        rejections(last.limited, last.late),
    );
}

/// Returns the numbers of rejected and late requests as text. Empty if there are none.
pub fn rejections(limited: usize, late: usize) -> String {
    let part = |count: usize, what: &str| if count > 0 { format!("  {count} {what}") } else { String::new() };
    part(limited, "rejected") + &part(late, "timed out")
}

/// The heading of the rows of [`compared`].
pub const COMPARED_HEAD: &str = "\
            Roster, PostgreSQL  Roster, SQLite  Mercurius, PostgreSQL  Roster / Mercurius
workload    server + db us/req          us/req     server + db us/req  PostgreSQL  SQLite";

/// Returns a row with the processor time of a workload: of Roster on PostgreSQL and on SQLite, and of the peer.
pub fn compared(workload: &str, [postgres, sqlite, peer]: [Option<&Figure>; 3]) -> String {
    let cost = |figure: Option<&Figure>| match figure {
        Some(figure) if figure.database > 0.0 => format!("{:.0} + {:.0}", figure.server, figure.database),
        Some(figure) => format!("{:.0}", figure.server),
        None => "-".to_owned(),
    };
    let ratio = |roster: Option<&Figure>| {
        let both = roster.zip(peer);
        both.map_or("-".to_owned(), |(roster, peer)| format!("{:.2}", roster.cpu() / peer.cpu()))
    };
    let failed = |name: &str, figure: Option<&Figure>| {
        let text = figure.map(|figure| rejections(figure.limited, figure.late)).unwrap_or_default();
        if text.is_empty() { text } else { format!("  {name}:{text}") }
    };
    format!(
        "{workload:<12}{:>18}{:>16}{:>23}{:>12}{:>8}{}{}{}",
        cost(postgres),
        cost(sqlite),
        cost(peer),
        ratio(postgres),
        ratio(sqlite),
        failed("PostgreSQL", postgres),
        failed("SQLite", sqlite),
        failed("Mercurius", peer),
    )
}

/// Prints the comparisons with the peer, for each number of users that was measured on both databases.
pub fn print_compared(rounds: &[Round]) {
    let of = |engine| rounds.iter().filter(move |round| round.database == engine && !round.comparisons.is_empty());
    for postgres in of(Engine::Postgres) {
        let same_size = |round: &&Round| round.users == postgres.users;
        let Some(sqlite) = of(Engine::Sqlite).find(same_size) else { continue };
        println!("\n{} users\n{COMPARED_HEAD}", postgres.users);
        for Comparison { workload, roster, peer } in &postgres.comparisons {
            let on_sqlite = sqlite.comparisons.iter().find(|other| other.workload == *workload);
            let on_sqlite = on_sqlite.map(|other| &other.roster);
            println!("{}", compared(workload, [Some(roster), on_sqlite, peer.as_ref()]));
        }
    }
}

/// Prints the cost of creating the users, and of starting again.
pub fn print_sizes(rounds: &[Round]) {
    if rounds.is_empty() {
        return;
    }
    println!(
        "\n{:<12}{:>10}{:>12}{:>12}{:>14}{:>17}{:>8}{:>14}",
        "", "users", "created in", "per second", "CPU, seconds", "peak memory, MB", "disk", "start to 1st"
    );
    println!(
        "{:<12}{:>10}{:>12}{:>12}{:>14}{:>17}{:>8}{:>14}",
        "", "", "s", "", "server + db", "loading, later", "MB", "response, ms"
    );
    for Round { database, users, loading, start, memory, .. } in rounds {
        let [server, of_database] = loading.cpu.map(|cpu| cpu.as_secs_f64());
        println!(
            "{:<12}{users:>10}{:>12.1}{:>12.0}{:>14}{:>17}{:>8}{:>14}",
            database.name(),
            loading.took.as_secs_f64(),
            f64::from(*users) / loading.took.as_secs_f64(),
            format!("{server:.0} + {of_database:.0}"),
            format!("{}, {}", loading.memory, memory.1),
            loading.on_disk,
            start.as_millis(),
        );
    }
}

/// Prints the cost of importing files of users.
pub fn print_imports(imports: &[Import]) {
    if imports.is_empty() {
        return;
    }
    println!(
        "\n{:<12}{:>10}{:>13}{:>12}{:>14}{:>13}",
        "import", "users", "imported in", "per second", "CPU, seconds", "peak memory"
    );
    println!("{:<12}{:>10}{:>13}{:>12}{:>14}{:>13}", "", "", "s", "", "command + db", "MB");
    for Import { database, users, took, cpu, memory } in imports {
        let [command, of_database] = cpu.map(|cpu| cpu.as_secs_f64());
        println!(
            "{:<12}{users:>10}{:>13.1}{:>12.0}{:>14}{memory:>13}",
            database.name(),
            took.as_secs_f64(),
            f64::from(*users) / took.as_secs_f64(),
            format!("{command:.0} + {of_database:.0}"),
        );
    }
}

/// Prints each workload at each size: processor time, median and 99th percentile.
pub fn print_growth(rounds: &[Round], concurrency: usize) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let of_engine: Vec<&Round> = rounds.iter().filter(|round| round.database == engine).collect();
        let (Some(first), true) = (of_engine.first(), of_engine.len() > 1) else { continue };
        let sizes: Vec<String> = of_engine.iter().map(|round| format!("{:>28}", round.users)).collect();
        println!("\n{:<12}{}", engine.name(), sizes.join(""));
        println!("{:<12}{}", "", format!("{:>10}{:>9}{:>9}", "CPU us", "p50 ms", "p99 ms").repeat(sizes.len()));
        for figure in first.figures.iter().filter(|figure| figure.concurrency == fitting(first, figure, concurrency)) {
            let at = |round: &&Round| match round.figure(figure.workload, concurrency) {
                Some(found) => format!("{:>10.0}{:>9.2}{:>9.2}", found.cpu(), found.p50, found.p99),
                None => format!("{:>28}", "-"),
            };
            println!("{:<12}{}", figure.workload, of_engine.iter().map(at).collect::<String>());
        }
    }
}

/// Returns the concurrency at which a workload is shown.
fn fitting(round: &Round, figure: &Figure, concurrency: usize) -> usize {
    round.figure(figure.workload, concurrency).map_or(concurrency, |found| found.concurrency)
}

/// The descriptions of the workloads that the README shows.
const SHOWN: [(&str, &str); 8] = [
    ("typename", "`{ __typename }` without a token"),
    ("W1", "a user by id, with institution and groups"),
    ("W2", "50 users with institutions and groups"),
    ("W3", "the 1,000th page of 50"),
    ("W4", "search, the first 20"),
    ("W8", "mixed: of ten requests, six users by id, two pages, a search, a new user"),
    ("W5", "a new user, durably, with the audit event"),
    ("login", "sign-in by password (2 under way)"),
];

/// Prints the table of the README, for the rounds with so many users.
pub fn print_markdown(rounds: &[Round], users: u32, concurrency: usize) {
    let of = |engine| rounds.iter().find(|round| round.database == engine && round.users == users);
    println!(
        "\n| | SQLite: requests per second, p50, p99 | CPU per request | PostgreSQL 15: requests per second, p50, p99 \
         | CPU per request, server + database |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (workload, text) in SHOWN {
        let cells = [Engine::Sqlite, Engine::Postgres].map(|engine| match of(engine) {
            Some(round) => cells(round, workload, concurrency),
            None => "- | -".to_owned(),
        });
        println!("| {text} | {} |", cells.join(" | "));
    }
}

fn cells(round: &Round, workload: &str, concurrency: usize) -> String {
    let Some(figure) = round.figure(workload, concurrency) else { return "- | -".to_owned() };
    let cpu = match round.database {
        Engine::Sqlite => time(figure.server),
        Engine::Postgres => format!("{} + {}", number(figure.server), time(figure.database)),
    };
    let by_hand = round.figure(&format!("{workload}-sql"), concurrency);
    let by_hand = by_hand.map(|floor| format!(" ({:.1} ×)", figure.cpu() / floor.cpu())).unwrap_or_default();
    format!("{}, {:.1} ms, {:.1} ms | {cpu}{by_hand}", number(figure.per_second), figure.p50, figure.p99)
}

fn time(microseconds: f64) -> String {
    if microseconds < 9_999.5 {
        format!("{} us", number(microseconds))
    } else {
        format!("{:.0} ms", microseconds / 1e3)
    }
}

/// Returns a number with three significant digits, and commas between thousands.
#[allow(clippy::cast_possible_truncation, reason = "the number is small")]
pub fn number(value: f64) -> String {
    let unit = 10_f64.powi((value.max(1.0).log10().floor() as i32 - 2).max(0));
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
