# Shearwater. `make demo` shows it, `make test` proves it; both do all set-up they need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SEEDS ?= 20000
KILLS ?= 200
ENGINE ?= chromium
FUZZ_SECONDS ?= 60
CONVERGE_SECONDS ?= 60
CLIENTS ?= chromium,firefox,webkit
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
XTASK := cargo run --quiet --locked -p xtask --

.PHONY: help setup setup-browsers build built demo test test-native test-shells test-e2e engines torture converge versus fleet bench bench-core fuzz fuzz-smoke setup-fuzz sim check format package clean

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## the wasm target and the npm packages of the lockfiles
	@rustup target list --installed | grep -q '^wasm32-unknown-unknown$$' || { echo "set-up: adding the wasm32-unknown-unknown target"; rustup target add wasm32-unknown-unknown; }
	@for part in rustfmt clippy; do rustup component list --installed | grep -q "^$$part" || { echo "set-up: adding $$part"; rustup component add $$part; }; done
	@if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then echo "set-up: installing npm packages of the lockfile"; npm ci --no-audit --no-fund --loglevel=error; touch node_modules/.package-lock.json; fi

setup-browsers: ## Chromium, Firefox and WebKitGTK, and PostgreSQL, by apt where they are absent
	@missing=""; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	for pair in chromium:chromium firefox-esr:firefox-esr WebKitWebDriver:webkit2gtk-driver Xvfb:xvfb xauth:xauth; do \
	  command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "set-up: installing$$missing by apt"; $(SUDO) apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi

build: setup ## dist/, the npm package, with the size of each file
	$(XTASK) build

demo: build ## the demo PWA on its back end; prints the address to open
	cargo build --quiet --locked -p shearwater-server
	@mkdir -p .cache
	target/debug/shearwater-server --demo --listen 127.0.0.1:$${PORT:-8080} --db .cache/demo.db --static public --static-mount /shearwater=dist

test: check test-native test-shells fuzz-smoke test-e2e engines ## everything

test-native: setup ## the core, the server, and a fixed number of the simulator's seeds
	cargo test --locked --workspace --exclude shearwater-worker --exclude shearwater-page --exclude shearwater-web --exclude shearwater-rust-page

test-shells: setup setup-browsers ## modules of the worker in a real service worker, of the page in a real page
	$(XTASK) shells
	node tests/shells/run.mjs

test-e2e: built setup-browsers ## in real Chromium against the real server
	node --test --test-concurrency=1 --test-reporter=spec tests/e2e/*.test.mjs tests/converge/*.test.mjs tests/package/*.test.mjs

built: build # what the browser tests run on
	$(XTASK) build --faults
	$(XTASK) rust-page
	cargo build --quiet --locked -p shearwater-server

engines: built setup-browsers ## in real Firefox and WebKitGTK, 3 min
	node --test --test-concurrency=1 --test-reporter=spec tests/engines/*.test.mjs

fleet: ## 100,000 clients whose server comes back: docs/fleet.md and its plot
	cargo run --locked --release -p shearwater-sim --bin fleet -- --clients 100000 --out docs/fleet

bench: built setup-browsers ## speed, beside Workbox and beside nothing; writes docs/benchmarks.*
	cargo build --quiet --locked --release -p shearwater-server
	node tests/bench/run.mjs

bench-core: setup ## instructions that the core takes, counted by callgrind
	@command -v valgrind >/dev/null || { echo "set-up: installing valgrind by apt"; $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends valgrind; }
	node tests/bench/core.mjs

fuzz: setup-fuzz ## what reads foreign input, FUZZ_SECONDS each
	crates/fuzz/run.sh $(FUZZ_SECONDS)

fuzz-smoke: setup-fuzz # the same, shortly, from the seeds that are in the repository
	FUZZ_SEED=1 crates/fuzz/run.sh 5

setup-fuzz: setup # libFuzzer wants a C++ compiler
	@command -v c++ >/dev/null || { echo "set-up: installing g++ by apt"; $(SUDO) apt-get update -qq; DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends g++; }

torture: built setup-browsers ## kill everything everywhere: make torture KILLS=200 ENGINE=chromium
	node tests/torture/run.mjs --kills $(KILLS) --engine $(ENGINE)

converge: built setup-browsers ## three engines edit the same records: make converge CONVERGE_SECONDS=60 SEED=7
	node tests/converge/run.mjs --seconds $(CONVERGE_SECONDS) --clients $(CLIENTS) $(if $(SEED),--seed $(SEED))

versus: built setup-browsers ## head-to-head with workbox-background-sync; writes docs/versus.md
	node tests/versus/run.mjs

sim: ## the simulator: make sim SEEDS=20000, or SEEDS=5..9
	cargo run --locked --release -p shearwater-sim -- --seeds $(SEEDS)

check: build setup-fuzz ## format, lints, types, docs, links of the public types, size
	$(XTASK) size --check
	node_modules/.bin/biome check --error-on-warnings
	for project in sw/page sw/worker tests/e2e/harness tests/types tests/types/tsconfig.demo.json; do node_modules/.bin/tsc --project $$project; done
	cargo fmt --all --check
	cargo clippy --locked --workspace --exclude shearwater-worker --exclude shearwater-page --exclude shearwater-web --exclude shearwater-rust-page --all-targets -- -D warnings
	cargo clippy --locked -p shearwater-worker -p shearwater-page -p shearwater-web --target wasm32-unknown-unknown --all-targets -- -D warnings
	cargo clippy --locked -p shearwater-worker --features full,debug --target wasm32-unknown-unknown -- -D warnings
	cargo clippy --locked -p shearwater-rust-page --target wasm32-unknown-unknown -- -D warnings
	cd crates/fuzz && cargo clippy --quiet --locked --bins -- -D warnings
	cargo clippy --quiet --locked --manifest-path tests/bench/core/Cargo.toml -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

format: setup ## writes Rust, JavaScript, CSS and JSON as `make check` wants them
	cargo fmt --all
	node_modules/.bin/biome check --write --linter-enabled=false

package: build ## the npm tarball of dist/
	cd dist && npm pack --pack-destination ..

clean: ## what was built
	rm -rf target dist dist-test node_modules .cache
