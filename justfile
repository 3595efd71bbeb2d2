# What there is to do; `just` alone lists it. CI runs the same recipes.

set shell := ["bash", "-euo", "pipefail", "-c"]

# The agent must run in an empty image, so it is linked statically. The flag breaks proc
# macros unless a target is named.
target := `rustc -vV | sed -n 's/^host: //p'`
static := "-C target-feature=+crt-static"

_default:
    @just --list --unsorted

# Run the shop's suite in a sandbox: real packets, no cluster, no root.
demo *FLAGS:
    cargo run --release -- run --sandbox suites/shop.yaml {{ FLAGS }}

# Everything that CI asks for.
ci: fmt-check lint test doc deny

# All tests.
test *FLAGS:
    cargo test --workspace {{ FLAGS }}

# Evaluator against ruleset, or with `the_wire` against packets, until it is ended or for so many seconds.
agree WITH="the_ruleset" SECONDS="forever":
    NETPROOF_AGREE={{ SECONDS }} cargo test --test agreement -- {{ WITH }}

# Does it compile?
check:
    cargo check --workspace --all-targets

# Lay out the sources.
fmt:
    cargo fmt --all

# Fail where `just fmt` would change something.
fmt-check:
    cargo fmt --all -- --check

# Clippy, with warnings as errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, with broken links as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, banned crates, sources. `cargo install cargo-deny` once.
deny:
    cargo deny check bans licenses sources

# Each lie a connectivity test can tell: the situation, the command, and what the run said.
lies:
    cargo test --test lies -- --ignored --exact --nocapture list::told

# A tenth of all packets lost each way, and not one false verdict in so many.
soak VERDICTS="10000":
    NETPROOF_SOAK={{ VERDICTS }} cargo test --test lies -- --exact --nocapture time::a_tenth_lost_each_way_makes_no_false_verdict

# Damaged and made-up suites, as many as you like; another seed is another body of them.
fuzz SUITES="100000" SEED="1":
    NETPROOF_FUZZ={{ SUITES }} NETPROOF_SEED={{ SEED }} cargo test --test fuzz

# Figures with their limits beside them.
bench *FLAGS:
    cargo bench --bench limits -- {{ FLAGS }}
    cargo bench --bench evaluator

# The evaluator's speed against the last time, with criterion's statistics.
bench-evaluator *FLAGS:
    cargo bench --bench evaluator_statistics -- {{ FLAGS }}

# The statically linked agent.
agent:
    RUSTFLAGS="{{ static }}" cargo build --profile agent -p netproof-probe --target {{ target }}

# The probe image as an archive, without any container tool.
image FILE="netproof-probe.tar": agent
    cargo run --release -- image save {{ FILE }}

# Put the probe image into a kind cluster.
kind-load CLUSTER="kind": image
    kind load image-archive netproof-probe.tar --name {{ CLUSTER }}
