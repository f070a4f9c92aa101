//! The figures as an SVG picture for the README, in the light or dark colors of the reader.

use std::fmt::Write as _;

use crate::figures::{Engine, Figure, Round};
use crate::table::number;

const WIDTH: f64 = 880.0;
const MARGIN: f64 = 28.0;
/// The left end of the bars, and their greatest length.
const BARS: (f64, f64) = (248.0, 470.0);
const ROW: f64 = 47.0;
const BAR: f64 = 15.0;
/// The top of the first bar.
const TOP: f64 = 122.0;
/// The height of the lines of growth.
const LINES: f64 = 230.0;

const STYLE: &str = "<style>
svg { --page: #ffffff; --edge: #d1d9e0; --ink: #1f2328; --soft: #59636e; --grid: #e6eaef;
  --sqlite: #0e7c86; --server: #4f46b8; --database: #a9a3ea; font-family: -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --edge: #3d444d; --ink: #f0f6fc; --soft: #9198a1;
  --grid: #21262d; --sqlite: #3fb8c1; --server: #9a8cff; --database: #544b9c; } }
.page { fill: var(--page); stroke: var(--edge); } text { fill: var(--ink); font-size: 13px; }
.title { font-size: 17px; font-weight: 600; } .soft { fill: var(--soft); font-size: 12px; } .end { text-anchor: end; }
.middle { text-anchor: middle; } .grid { stroke: var(--grid); } .sqlite { fill: var(--sqlite); } .server { fill: var(--server); }
.database { fill: var(--database); } .hand { stroke: var(--ink); stroke-width: 2; } .cut { stroke: var(--page); stroke-width: 3; }
.line { fill: none; stroke-width: 2; } .of-sqlite { stroke: var(--sqlite); } .of-postgres { stroke: var(--server); }
</style>
";

/// The workloads that are shown as bars.
const ROWS: [(&str, &str); 8] = [
    ("poem", "a bare handler, constant response"),
    ("typename", "{ __typename }"),
    ("W1", "a user, institution, groups"),
    ("W2", "50 users, institutions, groups"),
    ("W3", "the 1,000th page of 50"),
    ("W4", "search, the first 20"),
    ("W8", "mixed, one write of ten"),
    ("W5", "a new user, durably"),
];

/// The workloads that are shown as lines.
const GROWING: [(&str, &str); 5] =
    [("W1", "a user"), ("W2", "50 users"), ("W3", "1,000th page"), ("W4", "search"), ("W5", "new user")];

/// Draws the rounds: bars of those with so many users at one concurrency, and lines if there are several sizes.
pub fn draw(rounds: &[Round], users: u32, concurrency: usize) -> String {
    let shown: Vec<&Round> = rounds.iter().filter(|round| round.users == users).collect();
    let grows = rounds.iter().any(|round| round.users != users);
    let mut picture = Picture(String::new());
    let bottom = picture.bars(&shown, users, concurrency);
    let height = if grows { picture.growth(rounds, concurrency, bottom + 44.0) } else { bottom } + 22.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n\
         <title>Processor time of a request to Roster, on SQLite and PostgreSQL</title>\n{STYLE}\
         <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"10\"/>\n{}</svg>\n",
        WIDTH - 1.0,
        height - 1.0,
        picture.0,
    )
}

/// The elements drawn so far.
struct Picture(String);

impl Picture {
    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(self.0, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let size = format!("width=\"{width:.1}\" height=\"{height:.1}\"");
        let _ = writeln!(self.0, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" {size}/>");
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.0, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// Draws the bars, and returns where they end.
    fn bars(&mut self, rounds: &[&Round], users: u32, concurrency: usize) -> f64 {
        self.text("title", (MARGIN, 36.0), "Processor time of a request");
        let of =
            format!("Microseconds, {} users, {concurrency} requests under way; lower is better", number(users.into()));
        self.text("soft", (MARGIN, 57.0), &of);
        self.legend();
        let rows: Vec<_> =
            ROWS.iter().filter(|(name, _)| of_rounds(rounds, name, concurrency).next().is_some()).collect();
        let bottom = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(0));
        let limit =
            limit(rows.iter().flat_map(|(name, _)| of_rounds(rounds, name, concurrency)).map(|(_, it)| it.cpu()));
        let step = step(limit);
        for mark in (0..).map(|n| f64::from(n) * step).take_while(|mark| *mark <= limit) {
            let x = BARS.0 + mark / limit * BARS.1;
            self.line("grid", &[(x, TOP - 10.0), (x, bottom)]);
            self.text("soft middle", (x, bottom + 16.0), &number(mark));
        }
        for (top, (name, text)) in (0..).map(|n| TOP + ROW * f64::from(n)).zip(rows) {
            self.text("end", (BARS.0 - 14.0, top + BAR + 5.0), text);
            for (engine, y) in [(Engine::Sqlite, top), (Engine::Postgres, top + BAR + 2.0)] {
                let Some(round) = rounds.iter().find(|round| round.database == engine) else { continue };
                let by_hand = round.figure(&format!("{name}-sql"), concurrency).map(Figure::cpu);
                if let Some(figure) = round.figure(name, concurrency) {
                    self.bar(engine, figure, by_hand, y, limit);
                }
            }
        }
        bottom + 16.0
    }

    fn bar(&mut self, engine: Engine, figure: &Figure, by_hand: Option<f64>, y: f64, limit: f64) {
        let long = |cpu: f64| (cpu / limit).min(1.0) * BARS.1;
        let (server, whole) = (long(figure.server), long(figure.cpu()));
        self.rect(if engine == Engine::Sqlite { "sqlite" } else { "server" }, (BARS.0, y), (server.max(1.0), BAR));
        if whole > server {
            self.rect("database", (BARS.0 + server, y), (whole - server, BAR));
        }
        if figure.cpu() > limit {
            let x = BARS.0 + BARS.1 - 18.0;
            self.line("cut", &[(x, y + BAR + 1.0), (x + 8.0, y - 1.0)]);
        }
        let mut end = BARS.0 + whole;
        let mut text = number(figure.cpu());
        if let Some(by_hand) = by_hand {
            let x = BARS.0 + long(by_hand);
            self.line("hand", &[(x, y - 1.0), (x, y + BAR + 1.0)]);
            end = end.max(x);
            let _ = write!(text, " ({:.1} × by hand)", figure.cpu() / by_hand);
        }
        self.text("soft", (end + 7.0, y + BAR - 3.0), &text);
    }

    fn legend(&mut self) {
        let mut x = MARGIN;
        let all = [
            ("sqlite", "SQLite, in the server"),
            ("server", "with PostgreSQL: the server"),
            ("database", "and the database"),
        ];
        for (class, text) in all {
            self.rect(class, (x, 76.0), (13.0, 13.0));
            self.text("soft", (x + 20.0, 87.0), text);
            x += 46.0 + 6.4 * f64::from(u32::try_from(text.len()).unwrap_or(0));
        }
        self.line("hand", &[(x + 6.0, 74.0), (x + 6.0, 91.0)]);
        self.text("soft", (x + 16.0, 87.0), "the same by hand-written SQL (search: by prefix)");
    }

    /// Draws the lines of growth, and returns where they end.
    fn growth(&mut self, rounds: &[Round], concurrency: usize, top: f64) -> f64 {
        self.text("title", (MARGIN, top), "As the directory grows");
        self.text(
            "soft",
            (MARGIN, top + 21.0),
            "Microseconds of processor time of a request, by the number of users; both scales logarithmic",
        );
        let cpus =
            || rounds.iter().flat_map(|round| GROWING.iter().filter_map(|(name, _)| round.figure(name, concurrency)));
        let (low, high) = cpus().fold((f64::MAX, 1.0_f64), |(low, high), it| (low.min(it.cpu()), high.max(it.cpu())));
        let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
        let (top, bottom) = (top + 62.0, top + 62.0 + LINES);
        let height = |cpu: f64| bottom - (cpu / low).log10() / (high / low).log10() * LINES;
        for (engine, class, left) in [(Engine::Sqlite, "of-sqlite", 84.0), (Engine::Postgres, "of-postgres", 492.0)] {
            let of_engine: Vec<&Round> = rounds.iter().filter(|round| round.database == engine).collect();
            let (Some(first), Some(last)) = (of_engine.first(), of_engine.last()) else { continue };
            let span = (f64::from(last.users) / f64::from(first.users)).log10().max(1.0);
            let place = |users: u32| left + (f64::from(users) / f64::from(first.users)).log10() / span * 250.0;
            self.text("", (left, top - 14.0), engine.name());
            for mark in (0..6).map(|n| low * 10_f64.powi(n)).take_while(|mark| *mark <= high) {
                self.line("grid", &[(left, height(mark)), (left + 250.0, height(mark))]);
                self.text("soft end", (left - 10.0, height(mark) + 4.0), &number(mark));
            }
            for round in &of_engine {
                self.text("soft middle", (place(round.users), bottom + 18.0), &number(round.users.into()));
            }
            let mut labels = Vec::new();
            for (name, text) in GROWING {
                let points = of_engine
                    .iter()
                    .filter_map(|round| Some((place(round.users), height(round.figure(name, concurrency)?.cpu()))));
                let points: Vec<(f64, f64)> = points.collect();
                self.line(&format!("line {class}"), &points);
                labels.extend(points.last().map(|end| (end.1, text)));
            }
            self.labels(labels, left + 258.0);
        }
        bottom + 20.0
    }

    /// Draws the labels at the ends of lines, without overlap.
    fn labels(&mut self, mut labels: Vec<(f64, &str)>, x: f64) {
        labels.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut above = f64::MAX;
        for (y, text) in labels {
            above = (y + 4.0).min(above - 14.0);
            self.text("soft", (x, above), text);
        }
    }
}

/// Returns the figures of one workload, each with its database.
fn of_rounds<'a>(
    rounds: &'a [&Round],
    name: &'a str,
    concurrency: usize,
) -> impl Iterator<Item = (Engine, &'a Figure)> + use<'a> {
    rounds.iter().filter_map(move |round| Some((round.database, round.figure(name, concurrency)?)))
}

/// Returns the end of the scale: the highest bar, unless that would leave no room for the others.
fn limit(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let highest = sorted.last().copied().unwrap_or(1.0);
    let usual = sorted.iter().rev().nth(2).copied().unwrap_or(highest);
    highest.min(usual * 1.5)
}

/// Returns one, two or five times a power of ten, so that there are four to ten marks.
fn step(limit: f64) -> f64 {
    let unit = 10_f64.powf((limit / 4.0).log10().floor());
    [5.0, 2.0].into_iter().map(|times| times * unit).find(|step| limit / step >= 4.0).unwrap_or(unit)
}
