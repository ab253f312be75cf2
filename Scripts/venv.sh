#!/usr/bin/env bash
# usage: Scripts/venv.sh GROUP …   Makes .build/venv/GROUP with the packages of Scripts/python.txt; asks PyPI only when they have changed.
set -euo pipefail
cd "$(dirname "$0")/.."
# pip brings a list of its own; what the machine trusts counts, a proxy's certificate too.
trusted=/etc/ssl/certs/ca-certificates.crt
[ -e "$trusted" ] && export PIP_CERT="${PIP_CERT:-$trusted}"
for group in "$@"; do
    wanted=$(awk -v group="$group" '$1 == group { print $2 }' Scripts/python.txt)
    [ -n "$wanted" ] || { echo "venv: Scripts/python.txt lists nothing for $group" >&2; exit 64; }
    folder=.build/venv/$group
    [ "$(cat "$folder/.packages" 2>/dev/null)" = "$wanted" ] && continue
    echo "install: $folder: $(echo $wanted)"
    rm -rf "$folder"
    /usr/bin/python3 -m venv "$folder"
    # shellcheck disable=SC2086  # one word per package
    "$folder/bin/pip" install -q --disable-pip-version-check $wanted
    printf '%s\n' "$wanted" >"$folder/.packages"
done
