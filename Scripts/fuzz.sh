#!/usr/bin/env bash
# usage: Scripts/fuzz.sh MINUTES [TARGET…]   Fuzzes every target for so long, AT_ONCE=2 at a time. Findings lie in .build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."
export minutes=$1 work=.build/fuzz
shift
# A trap must end the process at once: libFuzzer reports it, and a program that writes a backtrace would hold it.
export SWIFT_BACKTRACE=enable=no
THEMIS_FUZZ=1 swift build -c release --scratch-path "$work" --product themis_fuzz --sanitize fuzzer --sanitize address \
    -Xswiftc -enable-testing
mkdir -p "$work/findings"
rm -f "$work"/findings/*.failed
[ "$#" -gt 0 ] || mapfile -t all < <("$work/release/themis_fuzz" 2>/dev/null)
[ "$#" -gt 0 ] || set -- "${all[@]%% *}"

fuzz() {
    local target=$1 log=$work/$1.log longest
    longest=$("$work/release/themis_fuzz" 2>/dev/null | awk -v target="$target" '$1 == target { print $2 }')
    [ -n "$longest" ] || { echo "$target is no target" >&2; touch "$work/findings/$target.failed"; return; }
    mkdir -p "$work/corpus/$target"
    THEMIS_FUZZ_TARGET=$target "$work/release/themis_fuzz" -max_total_time=$((minutes * 60)) -max_len="$longest" -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="$work/findings/$target-" -print_final_stats=1 \
        "$work/corpus/$target" "Tests/FuzzTests/Corpus/$target" >"$log" 2>&1 || touch "$work/findings/$target.failed"
    echo "$target: $(grep -aoE 'number_of_executed_units: *[0-9]+' "$log" | grep -oE '[0-9]+$' || echo 0) inputs"
    [ ! -e "$work/findings/$target.failed" ] || grep -aE 'Fatal error|ERROR:|SUMMARY' "$log" | head -n 3
}
export -f fuzz
printf '%s\n' "$@" | xargs -P "${AT_ONCE:-2}" -I {} bash -c 'fuzz {}'
if compgen -G "$work/findings/*.failed" >/dev/null; then
    echo "findings: $(cd "$work/findings" && echo *.failed); replay: THEMIS_FUZZ_TARGET=T $work/release/themis_fuzz FILE" >&2
    exit 1
fi
echo "make fuzz: no finding"
