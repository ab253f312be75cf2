#!/usr/bin/env bash
# Builds everything once and runs every tier; all of them, also after one has failed. The closing lines stand at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .build/tiers
swift build --build-tests
failed=0
Scripts/tier.sh tidy --filter TidyTests || failed=1
wire='ThemisNetTests|ThemisRPCTests|ThemisFeedTests|ThemisRuntimeTests|ThemisNodeTests|ServiceTests'
Scripts/tier.sh libraries --skip "TidyTests|EndToEndTests|$wire" || failed=1
# Loops, sockets, children and their clocks: apart from suites that keep every processor busy.
Scripts/tier.sh wire --filter "$wire" || failed=1
# The built programs take the machine for themselves: one test at a time.
Scripts/tier.sh end-to-end --filter EndToEndTests --no-parallel || failed=1
echo
cat .build/tiers/summary
[ "$failed" -eq 0 ] && echo "make test: every tier passed" || { echo "make test: FAILED"; exit 1; }
