#!/usr/bin/env bash
# usage: Scripts/generate.sh DIRECTORY   Writes the C code of every .proto file of the contract into DIRECTORY.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v protoc-c >/dev/null || Scripts/install.sh test
out=$(cd "$1" && pwd)
cd Sources/CThemisRPC
for contract in *.proto; do
    protoc-c --c_out="$out" "$contract"
done
