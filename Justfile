# just: https://just.systems. What .env sets is in the environment of each of these.
set dotenv-load

# The recipes there are.
default:
    @just --list

# Build it and serve, with a line for each request.
dev *options:
    cargo run --locked -- -v serve {{options}}

# Run the tests, or those that these words choose.
test *words:
    cargo test --locked {{words}}

# Formatting, licences, lints and docs.
lint:
    .ci/lint

# Everything that a change must pass.
ci:
    .ci/run

# Build it as it is released and serve.
serve *options:
    cargo run --release --locked -- serve {{options}}
