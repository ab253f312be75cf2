#!/usr/bin/env bash
# usage: Scripts/unpack.sh PACKAGE   Unpacks a Debian package below .build/tools: its programs, none of its services.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .build/tools
tools=$(cd .build/tools && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"
if ! apt-get download -qq "$1" 2>/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    apt-get download -qq "$1"
fi
dpkg-deb -x ./"$1"_*.deb "$tools"
touch "$tools/.$1"
