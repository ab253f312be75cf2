#!/usr/bin/env bash
# Builds everything once and runs every tier; all of them, also after one has failed. The closing lines stand at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .build/tiers
swift build --build-tests
failed=0
tier() { Scripts/tier.sh "$@" || failed=1; }
tier tidy --filter TidyTests
wire='ThemisNetTests|ThemisRPCTests|ThemisFeedTests|ThemisRuntimeTests|ThemisNodeTests|ServiceTests'
tier libraries --skip "TidyTests|FuzzTests|EndToEndTests|$wire"
# The kept inputs of `make fuzz`, and what is near them.
tier fuzz --filter FuzzTests
# Loops, sockets, children and their clocks: apart from suites that keep every processor busy.
tier wire --filter "$wire"
# The built programs take the machine for themselves: one test at a time.
tier end-to-end --filter EndToEndTests --no-parallel
# A browser through proxies: neither is ours.
echo "── browser"
Scripts/browser 2>&1 | tee .build/tiers/browser.log || failed=1
tail -n 1 .build/tiers/browser.log >> .build/tiers/summary
echo
cat .build/tiers/summary
[ "$failed" -eq 0 ] && echo "make test: every tier passed" || { echo "make test: FAILED"; exit 1; }
