# The only door. `make` alone prints what there is; CI calls `make test`.

SHELL  := /bin/bash
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
ONLY   ?=
export CARGO_TARGET_DIR := $(TARGET)
export CAIRN_PEERS      := $(TARGET)/peers

.DEFAULT_GOAL := help
.PHONY: help up down check test docs peers bench soak

help: # print the targets
	@sed -n 's/^\([a-z]*\):[^#]*# \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

up: # a CA, a certificate obtained through real ACME, a page over HTTPS
	@./scripts/up.sh

down: # stop what `make up` started
	@./scripts/down.sh

check: # the quick gate: format, clippy, unit tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --lib --bins --locked
	cargo test --workspace --test dev --locked

test: # everything CI runs; ONLY=word runs only the suites whose name has it
	@./scripts/peers.sh
	@python3 scripts/suites.py $(ONLY)

docs: # rewrite the tables of docs/ from the code, the tests and what the last `make test` saw
	CAIRN_BLESS=1 cargo test --workspace --locked --lib config::
	CAIRN_BLESS=1 cargo test --workspace --locked --test documents --test seen

peers: # install the programs that the tests run against (root, or all there already)
	@./scripts/peers.sh

bench: peers # Cairn beside Pebble, into target/bench.json; ONLY=part redoes one part
	cargo run --release --locked -p cairn-bench -- $(ONLY)

soak: # the long forms of the tests; hours, and a C++ compiler
	@./scripts/peers.sh
	@CAIRN_SOAK=1 python3 scripts/suites.py $(ONLY)
