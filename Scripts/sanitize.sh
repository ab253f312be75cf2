#!/usr/bin/env bash
# usage: Scripts/sanitize.sh address|thread [FILTER]   Unit, contract and service tests under a sanitizer, in a build of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
tests=${2:-Themis[A-Za-z]*Tests|ServiceTests|FuzzTests}
work=.build/$kind
export SWIFT_BACKTRACE=enable=no THEMIS_BIN=$PWD/$work/debug
# Wrong memory accesses and races; what a test process still holds when it ends is not judged.
# A report ends its process with 66, which fails a child's test too; all reports are gathered beside the log.
rm -f "$work"/report.*
export TSAN_OPTIONS="log_path=$PWD/$work/report exitcode=66" ASAN_OPTIONS="log_path=$PWD/$work/report exitcode=66 detect_leaks=0"
swift build --build-tests --scratch-path "$work" --sanitize "$kind"
status=0
swift test --skip-build --disable-xctest --scratch-path "$work" --sanitize "$kind" --filter "$tests" >"$work/tests.log" 2>&1 || status=$?
grep -E '✘|Test run with' "$work/tests.log" || true
if compgen -G "$work/report.*" >/dev/null; then
    grep -h 'SUMMARY' "$work"/report.* | sort | uniq -c
    status=1
fi
grep -qE 'Test run with [1-9][0-9]* tests' "$work/tests.log" || { tail -n 5 "$work/tests.log"; status=1; }
[ "$status" -eq 0 ] && echo "$kind: clean" || { echo "$kind: FAILED; see $work/tests.log and $work/report.*" >&2; exit 1; }
