# Shearwater. `make demo` shows it, `make test` proves it; both do all set-up they need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SEEDS ?= 20000
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
XTASK := cargo run --quiet --locked -p xtask --

.PHONY: help setup setup-browsers build demo test test-native test-e2e sim check package clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## the wasm target and the npm packages of the lockfiles
	@rustup target list --installed | grep -q '^wasm32-unknown-unknown$$' || { echo "set-up: adding the wasm32-unknown-unknown target"; rustup target add wasm32-unknown-unknown; }
	@for part in rustfmt clippy; do rustup component list --installed | grep -q "^$$part" || { echo "set-up: adding $$part"; rustup component add $$part; }; done
	@if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then echo "set-up: installing npm packages of the lockfile"; npm ci --no-audit --no-fund --loglevel=error; touch node_modules/.package-lock.json; fi

setup-browsers: ## Chromium, by apt where it is absent
	@command -v chromium >/dev/null || { echo "set-up: installing chromium by apt"; $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends chromium; }

build: setup ## dist/, the npm package, with the size of each file
	$(XTASK) build

demo: build ## the demo PWA on its back end; prints the address to open
	cargo build --quiet --locked -p shearwater-server
	@mkdir -p .cache
	target/debug/shearwater-server --demo --listen 127.0.0.1:$${PORT:-8080} --db .cache/demo.db --static public --static-mount /shearwater=dist

test: check test-native test-e2e ## everything

test-native: setup ## the core, the server, and a fixed number of the simulator's seeds
	cargo test --locked --workspace --exclude shearwater-worker --exclude shearwater-page --exclude shearwater-bridge

test-e2e: build setup-browsers ## in real Chromium against the real server
	$(XTASK) build --faults
	cargo build --quiet --locked -p shearwater-server
	node --test --test-concurrency=1 --test-reporter=spec tests/e2e/*.test.mjs tests/package/*.test.mjs

sim: ## the simulator: make sim SEEDS=20000, or SEEDS=5..9
	cargo run --locked --release -p shearwater-sim -- --seeds $(SEEDS)

check: setup ## format, clippy, types, docs, links of the public types
	cargo fmt --all --check
	cargo clippy --locked --workspace --exclude shearwater-worker --exclude shearwater-page --exclude shearwater-bridge --all-targets -- -D warnings
	cargo clippy --locked -p shearwater-worker -p shearwater-page -p shearwater-bridge --target wasm32-unknown-unknown -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	node_modules/.bin/tsc --project tests/types

package: build ## the npm tarball of dist/
	cd dist && npm pack --pack-destination ..

clean: ## what was built
	rm -rf target dist dist-test node_modules .cache
