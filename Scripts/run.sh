#!/usr/bin/env bash
# usage: Scripts/run.sh DATA PORT   Starts the whole set, prints what to try once it is ready, stops it cleanly on Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 port=$2 url=http://127.0.0.1:$2

ready() { curl -fsS --max-time 2 "$url/health/ready" >/dev/null 2>&1; }
# Otherwise the other set's answer would be taken for this one's.
if ready; then
    echo "make run: another set answers on $url already; stop it, or choose another port: make run PORT=…" >&2
    exit 75
fi

# Its own session: Ctrl-C reaches this script only, which then asks once; a second signal would end the set at once.
setsid .build/release/themis_server --data "$data" --port "$port" &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true' INT TERM

for ((attempt = 0; attempt < 600; attempt++)); do
    ready && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done

if ready; then
    cat <<TEXT

THEMIS is ready on $url, its data in $data. Ctrl-C stops it. Try in another terminal:

  curl -X PUT $url/entities/users:ada -H 'Content-Type: application/json' -d '{"name":"Ada","born":1815}'
  curl $url/entities/users:ada
  curl "$url/changefeed?from_seq=0"
  curl -N $url/changefeed/stream
  curl $url/metrics

TEXT
fi

status=0
wait "$server" || status=$?
while kill -0 "$server" 2>/dev/null; do
    status=0
    wait "$server" || status=$?
done
exit "$status"
