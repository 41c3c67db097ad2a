#!/usr/bin/env bash
# Runs fuzz targets, all of them unless some are named: run.sh SECONDS [TARGET…]
#
# Seeds come from corpus/, and what the run adds to them is kept in the target directory, so that the
# next one goes on from there. FUZZ_SEED=1 makes a run start anew and by that seed; FUZZ_JOBS is how many
# run at once. Prints one line a target; fails when one of them found something.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then targets=(message config record reply store); fi

# A caller's flags would take the place of those that count coverage.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS
command -v c++ >/dev/null || { echo "fuzz: libFuzzer needs a C++ compiler (apt-get install g++)" >&2; exit 2; }
built=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --locked --target-dir "$built"
bin=$built/$(rustc -vV | sed -n 's/^host: //p')/debug
found=$built/found
grown=$built/corpus
mkdir -p "$found"

fuzz() {
    local target=$1 log=$found/$1.log seed=${FUZZ_SEED:-0}
    [ "$seed" = 0 ] || rm -rf "${grown:?}/$target"
    mkdir -p "$grown/$target"
    local status=0
    "$bin/$target" "$grown/$target" "corpus/$target" -seed="$seed" -max_total_time="$seconds" -max_len=4096 \
        -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found/$target-" >"$log" 2>&1 || status=$?
    local runs rate state
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    state=$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -1)
    set -- $state
    printf '%-8s %9s runs %7s/s  coverage %5s  features %6s  corpus %5s  ' "$target" "${runs:-?}" "${rate:-?}" "${2:-?}" "${4:-?}" "${6:-?}"
    if [ $status = 0 ]; then
        echo "no findings"
        return
    fi
    local input
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "FOUND: ${input:-nothing that could be kept}"
    {
        grep -A3 -m1 -E '^thread .* panicked|ERROR: libFuzzer: (timeout|out-of-memory)' "$log" || tail -5 "$log"
        [ -z "$input" ] || printf '%s\nagain: %s %s\n' "$(head -c 2000 "$input")" "$bin/$target" "$input"
    } | sed 's/^/    /'
    return 1
}

export -f fuzz
export bin found grown seconds
printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-2}" -I{} bash -euo pipefail -c 'fuzz {}' || { echo "fuzz: something was found" >&2; exit 1; }
