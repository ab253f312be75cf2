#!/usr/bin/env bash
# usage: Scripts/tier.sh NAME ARGUMENTS…   Runs one tier by `swift test`; fails when it fails or when no test ran at all.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift
mkdir -p .build/tiers
log=.build/tiers/$name.log
# Whatever a test leaves lies here: it is named, it fails the tier, and it goes.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/themis.XXXXXX")
export TMPDIR
trap '[ "${THEMIS_KEEP:-}" = 1 ] || rm -rf "$TMPDIR"' EXIT
began=$SECONDS
echo "── $name"
set +e
# Shown are failures with what belongs to them, and whatever is not a test's own line; the log has everything.
swift test --skip-build --disable-xctest "$@" 2>&1 | tee "$log" | awk '
    /^(✘|↳|error|warning|Fatal)/ { shown = 1 } /^(◇|✔|\[|Building|Build complete|↳ T)/ { shown = 0 } shown || /^• / { print; fflush() }'
status=${PIPESTATUS[0]}
set -e
closing=$(grep -E 'Test run with [0-9]+ test' "$log" | tail -n 1 || true)
if [ "$status" -eq 0 ] && ! grep -qE 'with [1-9][0-9]* test' <<<"$closing"; then
    echo "$name: no test ran; the filter matches nothing" >&2
    status=1
fi
echo "$name: ${closing:-no closing line} [$((SECONDS - began)) s]" | tee -a .build/tiers/summary
# Ours only: the package manager has files of its own there.
left=$(ls "$TMPDIR" | grep "^themis-" || true)
if [ -n "$left" ] && [ "${THEMIS_KEEP:-}" != 1 ]; then
    echo "$name: left in the temporary directory: $(echo $left)" | tee -a .build/tiers/summary >&2
    status=1
fi
[ "$status" -eq 0 ] || { echo "$name failed: grep '✘' $log" >&2; exit "$status"; }
