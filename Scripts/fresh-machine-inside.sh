#!/usr/bin/env bash
# Runs inside the empty machine that Scripts/fresh-machine.sh makes. Prints how long each step took.
set -euo pipefail
cd /root
step() {
    local began=$SECONDS name=$1
    shift
    "$@" || { echo "fresh machine: $name FAILED after $((SECONDS - began)) s" >&2; exit 1; }
    echo "fresh machine: $name took $((SECONDS - began)) s"
}

first_line() { bash -e /first-line.sh >/tmp/first-line.log 2>&1 || { tail -n 20 /tmp/first-line.log; return 1; }; }

run() { # Starts the set as the README says and compares what its curls print with what the README shows.
    make run >/tmp/run.log 2>&1 &
    local job=$!
    until grep -q 'THEMIS is ready' /tmp/run.log; do
        kill -0 "$job" 2>/dev/null || { tail -n 40 /tmp/run.log; return 1; }
        sleep 1
    done
    echo "fresh machine: make run was ready after $SECONDS s"
    make install
    swift build --build-tests 2>&1 | tail -n 1
    THEMIS_README_URL=http://127.0.0.1:8765 Scripts/tier.sh readme --filter ReadmeTests || { tail -n 40 /tmp/run.log; return 1; }
    pkill -TERM -o -x themis_server
    wait "$job"
}

step "README's first line" first_line
step "git clone" git clone --quiet /source.git themis
cd themis
for part in "$@"; do
    case $part in
    run) step "make run with the README's curls" run ;;
    test) step "make test" make test ;;
    *) echo "fresh machine: unknown part $part" >&2; exit 64 ;;
    esac
done
