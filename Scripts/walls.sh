#!/usr/bin/env bash
# Shows that the walls of the package hold: an undeclared import does not compile, and no sidecar is linked with RocksDB.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=.build/walls/package
mkdir -p "$copy"
rm -rf "$copy/Sources" "$copy/Tests"
cp -a Package.swift Sources Tests "$copy/"

compiles() { # TARGET
    swift build --package-path "$copy" --scratch-path .build/walls/build --target "$1" \
        --explicit-target-dependency-import-check error >.build/walls/log 2>&1 && ! grep -q 'error:' .build/walls/log
}

refused() { # TARGET MODULE
    local intruder="$copy/Sources/$1/Intruder.swift"
    echo "import $2" >"$intruder"
    local status=0
    if compiles "$1"; then
        echo "walls: $1 may import $2, which Package.swift does not allow" >&2
        status=1
    else
        echo "walls: $1 cannot import $2: $(grep -m 1 -oE "(no such module|Target .* imports another target).*" .build/walls/log)"
    fi
    rm -f "$intruder"
    return $status
}

compiles ThemisFeed || { tail -n 20 .build/walls/log; echo "walls: the package itself does not build" >&2; exit 1; }
refused ThemisFeed ThemisStorage
refused ThemisFeed CRocksDB
refused ThemisDatabase ThemisNet

swift build >/dev/null
for sidecar in themis_gateway themis_changefeed themis_exporter; do
    if ldd ".build/debug/$sidecar" | grep -i rocksdb; then
        echo "walls: $sidecar is linked with RocksDB" >&2
        exit 1
    fi
    echo "walls: $sidecar is free of RocksDB"
done
