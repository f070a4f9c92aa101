# Everyday commands, for https://just.systems. Each works without just, too: copy its lines.

# Lists the commands.
_default:
    @just --list

# Serves invented users on http://127.0.0.1:8000/, with a playground and tokens to sign in.
demo *arguments:
    cargo run --release -- demo {{ arguments }}

# Runs the tests. What needs PostgreSQL, Chromium, a mail server or Node.js is skipped if they are missing.
test *arguments:
    cargo test --workspace {{ arguments }}

# Does what .ci/run does, but installs nothing: needs its programs, `npm ci` in .ci/schema, tests/clients, clients/typescript and
# examples, clients/python/.venv, and cargo-deny.
check:
    cargo fmt --all --check
    cargo fmt --check --manifest-path clients/rust/Cargo.toml
    cd .ci/schema && node --test --test-reporter=dot && node classify.js ../..
    cd clients/typescript && npm run --silent build
    cd examples && npm run --silent build
    cargo clippy --locked --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
    cargo deny --locked --log-level error check bans licenses sources
    ROSTER_REQUIRE_ALL=1 cargo test --locked --workspace

# Tests that the program of an earlier commit works beside this one. By default, the commit before the last migrations.
older *commit:
    .ci/older {{ commit }}

# Writes schema.graphql as the server serves it, and after `npm ci` in clients/typescript also the types made from it.
schema:
    cargo run --quiet -- schema > schema.graphql
    if [ -d clients/typescript/node_modules ]; then cd clients/typescript && npm run --silent generate; fi

# Measures the server against floors of the same run. For its options: just bench --help
bench *arguments:
    cargo bench --bench load -- {{ arguments }}
