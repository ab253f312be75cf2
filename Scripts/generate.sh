#!/usr/bin/env bash
# usage: Scripts/generate.sh DIRECTORY   Writes the C code of every .proto file into DIRECTORY/MODULE.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v protoc-c >/dev/null || Scripts/install.sh test
out=$(cd "$1" && pwd)
cd Sources
for contract in */*.proto; do
    module=$(dirname "$contract")
    mkdir -p "$out/$module"
    protoc-c --proto_path="$module" --c_out="$out/$module" "$(basename "$contract")"
done
