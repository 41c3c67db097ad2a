#!/usr/bin/env bash
# Runs fuzz targets, all of them unless some are named: run.sh SECONDS [TARGET…]
#
# Seeds come from corpus/. What a run adds to them is kept in the target directory, and the next one goes
# on from there; with FUZZ_SEED=1 it starts anew, and its chances are those of that seed. FUZZ_JOBS is how
# many targets run at once. Prints one line a target; fails when one of them found something.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
targets=("${@:2}")
if [ ${#targets[@]} = 0 ]; then targets=(message config record reply store template); fi

# A caller's flags would take the place of those that count coverage.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET RUST_BACKTRACE
command -v c++ >/dev/null || { echo "fuzz: libFuzzer wants a C++ compiler: apt-get install g++" >&2; exit 2; }
built=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --locked --bins --target-dir "$built"
bin=$built/$(rustc -vV | sed -n 's/^host: //p')/debug
found=$built/found
grown=$built/corpus
mkdir -p "$found"

fuzz() {
    local target=$1 log=$found/$1.log seed=${FUZZ_SEED:-0} status=0
    [ "$seed" = 0 ] || rm -rf "${grown:?}/$target"
    mkdir -p "$grown/$target"
    "$bin/$target" "$grown/$target" "corpus/$target" -seed="$seed" -max_total_time="$seconds" -max_len=4096 -reduce_inputs=0 \
        -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found/$target-" >"$log" 2>&1 || status=$?
    local runs rate coverage features inputs
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    read -r coverage features inputs < <(sed -nE 's/^#.* cov: ([0-9]+) ft: ([0-9]+) corp: ([0-9]+).*/\1 \2 \3/p' "$log" | tail -1) || true
    # In one piece, for another target may print at the same time.
    local line
    printf -v line '%-8s %9s runs %7s/s  coverage %5s  features %6s  corpus %5s  ' \
        "$target" "${runs:-?}" "${rate:-?}" "${coverage:-?}" "${features:-?}" "${inputs:-?}"
    if ! grep -q 'inline 8-bit counters' "$log"; then
        echo "${line}NOT BUILT for coverage: see .cargo/config.toml"
        return 1
    elif [ $status = 0 ]; then
        echo "${line}no findings"
        return
    fi
    local input
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "${line}FOUND ${input:-something, see $log}"
    {
        grep -a -A3 -m1 -E '^thread .* panicked|ERROR: libFuzzer: (timeout|out-of-memory)' "$log" || tail -5 "$log"
        if [ -n "$input" ]; then
            head -c 2000 "$input"
            printf '\nagain: %s %s\n' "$bin/$target" "$input"
        fi
    } | cut -c1-2000 | sed 's/^/    /'
    return 1
}

export -f fuzz
export bin found grown seconds
printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-2}" -I{} bash -euo pipefail -c 'fuzz {}' || exit 1
