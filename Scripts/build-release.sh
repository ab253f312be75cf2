#!/usr/bin/env bash
# Builds the four services for release. The Swift library is linked in, so that they run where no toolchain is.
set -euo pipefail
cd "$(dirname "$0")/.."
for product in themis_server themis_gateway themis_changefeed themis_exporter; do
    # Read anew: a kept package description would name the commit at which it was read.
    swift build --manifest-cache none -c release --static-swift-stdlib --product "$product"
done
