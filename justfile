# Short names for long commands. Nothing here is more than one line.

# Everything that must be green before a change is sent.
check: fmt lint test docs

# Formatting, as rustfmt has it.
fmt:
    cargo fmt --all --check

# Lints; a warning is an error.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Tests that need no root and no network.
test *ARGS:
    cargo test --workspace {{ARGS}}

# Takes new snapshots as they are; look at the difference before committing it.
bless *ARGS:
    INSTA_UPDATE=always cargo test --workspace {{ARGS}}

# Licences, bans, sources and advisories of the dependencies.
deny:
    cargo deny check

# The documentation of the code.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# The example configuration against the embedded server.
demo *ARGS:
    cargo run --release -- --config config.example.toml sync {{ARGS}}
