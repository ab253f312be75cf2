#!/usr/bin/env bash
# Writes the tables in docs/ again from the catalogs, by the tests that compare them.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build --build-tests
THEMIS_REWRITE=1 swift test --skip-build --disable-xctest --filter 'Golden|MethodTable'
git status --short docs
