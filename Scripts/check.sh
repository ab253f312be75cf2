#!/usr/bin/env bash
# What must hold before a change is proposed. Every line that fails names its repair.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
step() { # NAME REPAIR COMMAND…
    local name=$1 repair=$2
    shift 2
    echo "── $name"
    "$@" || { echo "$name: repair: $repair" >&2; failed=1; }
}

formatted() { swift format lint --strict --recursive --parallel Package.swift Sources Tests; }

strict() { # The import check prints its errors beside "Build complete!", so its words are looked for.
    local log=.build/check.log
    THEMIS_STRICT=1 swift build --build-tests --scratch-path .build/check --explicit-target-dependency-import-check error 2>&1 |
        tee "$log" | grep -E 'error|warning|Compiling|Build complete' | tail -n 20
    [ "${PIPESTATUS[0]}" -eq 0 ] && ! grep -q 'error:' "$log"
}

regenerated() {
    local fresh
    fresh=$(mktemp -d)
    Scripts/generate.sh "$fresh"
    local status=0 file
    for file in "$fresh"/*/*; do diff -u "Sources/${file#"$fresh"/}" "$file" || status=1; done
    rm -rf "$fresh"
    return $status
}

tests() {
    swift build --build-tests >.build/check-tests.log 2>&1 || { tail -n 30 .build/check-tests.log; return 1; }
    Scripts/tier.sh tidy --filter TidyTests && Scripts/tier.sh golden --filter Golden
}

mkdir -p .build
step "format" "make fix, then the rest by hand" formatted
step "strict build" "declare the import in Package.swift, or remove it; mend each warning" strict
step "walls" "Scripts/walls.sh says which wall did not hold" Scripts/walls.sh
step "generated code" "make generate" regenerated
step "house rules and tables" "each failure names it; make docs for tables" tests
[ "$failed" -eq 0 ] && echo "make check: all good" || { echo "make check: FAILED"; exit 1; }
