#!/usr/bin/env bash
# usage: Scripts/install.sh build|test|browser|bench …   Installs what is missing of Scripts/packages.txt; asks apt-get only then.
set -euo pipefail
cd "$(dirname "$0")/.."

listed() { awk -v kind="$1" '$1 == kind { print $2 }' Scripts/packages.txt; }

missing() {
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' | awk '$1 == "installed" { print $2 }')
    grep -vxF -f <(printf '%s\n' "$installed") || true
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

wanted=$(for kind in "$@"; do listed "$kind"; done | missing)
if [ -n "$wanted" ]; then
    command -v apt-get >/dev/null || { echo "install: no apt-get here; Scripts/packages.txt says what is needed" >&2; exit 69; }
    echo "install: $(echo $wanted)"
    as_root apt-get update -qq
    # shellcheck disable=SC2086  # one word per package
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends $wanted >/dev/null
fi

unpacked=
case " $* " in *" test "*) unpacked+=" $(listed unpack)" ;; esac
case " $* " in *" browser "*) unpacked+=" $(listed proxy)" ;; esac
case " $* " in *" bench "*) unpacked+=" $(listed peer)" ;; esac
for package in $unpacked; do
    [ -e ".build/tools/.$package" ] && continue
    echo "install: unpacking $package below .build/tools"
    Scripts/unpack.sh "$package"
done

# shellcheck disable=SC2046  # one word per environment
case " $* " in *" test "*) Scripts/venv.sh $(awk '!/^#/ && NF && $1 != "peers" { print $1 }' Scripts/python.txt | sort -u) ;; esac
# shellcheck disable=SC2046
case " $* " in *" bench "*) Scripts/venv.sh peers ;; esac

command -v swift >/dev/null || { echo "install: no swift on PATH; see README.md, Prerequisites" >&2; exit 69; }
