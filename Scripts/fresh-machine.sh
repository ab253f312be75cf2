#!/usr/bin/env bash
# usage: Scripts/fresh-machine.sh [run|test]…   (as root; needs mmdebstrap and a Swift toolchain on PATH)
# Makes an empty Debian 12 and does there what the README tells a stranger: first line, clone, make run, its curls, make test.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "fresh-machine: needs root for chroot and mounts" >&2; exit 77; }

if [ "${1:-}" = mounted ]; then # In namespaces of its own: every mount and process ends with it.
    root=$2 toolchain=$3
    shift 3
    mkdir -p "$root$toolchain"
    mount --bind "$toolchain" "$root$toolchain"
    mount -o remount,ro,bind "$root$toolchain"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
        PATH="$toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" bash /inside.sh "$@"
fi

[ $# -gt 0 ] || set -- run test
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
base=${THEMIS_FRESH_BASE:-/var/tmp/themis-bookworm-minbase.tar}
if [ ! -e "$base" ]; then
    echo "fresh-machine: making $base"
    mmdebstrap --quiet --variant=minbase bookworm "$base.new.tar"
    mv "$base.new.tar" "$base"
fi

# The ports are those of this machine: one at a time.
exec 9>"$base.lock"
flock 9
root=$(mktemp -d /var/tmp/themis-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
tar -xf "$base" -C "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# What this machine trusts beside Debian's own list, such as the certificate of a proxy between it and PyPI.
mkdir -p "$root/usr/local/share/ca-certificates"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$root/usr/local/share/ca-certificates" {} +
git clone --quiet --bare . "$root/source.git"
cp Scripts/fresh-machine-inside.sh "$root/inside.sh"
grep -m 1 '^apt-get update' README.md >"$root/first-line.sh"
unshare --mount --pid --fork --kill-child "$PWD/Scripts/fresh-machine.sh" mounted "$root" "$toolchain" "$@"
