#!/usr/bin/env bash
# usage: Scripts/sanitize.sh address|thread [FILTER]   Unit, contract and service tests under a sanitizer, in a build of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
work=.build/$kind
Scripts/venv.sh geo
export SWIFT_BACKTRACE=enable=no THEMIS_BIN=$PWD/$work/debug
# Wrong memory accesses and races; what a process still holds when it ends, memory and threads, is not judged.
# A report ends its process with 66, which fails a child's test too; all reports are gathered beside the log.
rm -f "$work"/report.*
# Foundation's Process, which only tests use, copies 256 bytes of a directory entry that is shorter; its memcpy alone is not judged.
mkdir -p "$work"
echo 'interceptor_via_lib:libFoundation.so' >"$work/suppressions"
export TSAN_OPTIONS="log_path=$PWD/$work/report exitcode=66 report_thread_leaks=0" \
    ASAN_OPTIONS="log_path=$PWD/$work/report exitcode=66 detect_leaks=0 suppressions=$PWD/$work/suppressions"
swift build --build-tests --scratch-path "$work" --sanitize "$kind"
status=0
: >"$work/tests.log"
# Apart, as in `make test`: a sanitizer makes suites that keep every processor busy slower still, and loops and clocks with them. What
# the wire's suites share is one loop thread: there each test has it for itself.
pass() {
    swift test --skip-build --disable-xctest --scratch-path "$work" --sanitize "$kind" "$@" >"$work/pass.log" 2>&1 || status=$?
    cat "$work/pass.log" >>"$work/tests.log"
    grep -E '✘|Test run with' "$work/pass.log" || true
    grep -qE 'Test run with [1-9][0-9]* tests' "$work/pass.log" || { tail -n 5 "$work/pass.log"; status=1; }
}
wire='ThemisNetTests|ThemisRPCTests|ThemisFeedTests|ThemisRuntimeTests|ThemisNodeTests|ServiceTests'
if [ -n "${2-}" ]; then
    pass --filter "$2"
else
    pass --skip "TidyTests|GoldenTests|EndToEndTests|$wire"
    pass --filter "$wire" --no-parallel
fi
if compgen -G "$work/report.*" >/dev/null; then
    grep -h 'SUMMARY' "$work"/report.* | sort | uniq -c
    status=1
fi
[ "$status" -eq 0 ] && echo "$kind: clean" || { echo "$kind: FAILED; see $work/tests.log and $work/report.*" >&2; exit 1; }
