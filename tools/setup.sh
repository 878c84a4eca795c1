#!/usr/bin/env bash
# Usage: tools/setup.sh [EXTRA ...]
# Makes .venv (or $VOXKIT_VENV) with voxkit and the named extras of pyproject.toml, at the versions of
# tools/constraints.txt. Does nothing when that is already so. $PYTHON chooses the interpreter (3.11 to 3.13).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VOXKIT_VENV:-$root/.venv}
stamp=$venv/.voxkit

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then echo "$candidate"; return; fi
    done
    echo "error: no usable Python among: ${PYTHON:-python3 python3.13 python3.12 python3.11}" >&2
    echo "fix: install Python 3.11, 3.12 or 3.13 with venv, or name one: PYTHON=/path/to/python3" >&2
    exit 2
}

mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9 # two recipes started together install once

wanted=$(cat "$root/pyproject.toml" "$root/tools/constraints.txt" | sha256sum | cut -c1-16)
have=""; extras=""
if [ -f "$stamp" ]; then read -r have extras <"$stamp" || true; fi
if ! [ -x "$venv/bin/python" ] || ! usable "$venv/bin/python"; then have=""; extras=""; fi
missing=no
for extra in "$@"; do
    case " $extras " in *" $extra "*) ;; *) missing=yes; extras="${extras:+$extras }$extra" ;; esac
done
if [ "$have" = "$wanted" ] && [ $missing = no ]; then exit 0; fi

echo "setting up $venv (${extras:-no extras}): a few minutes and about 6 GB the first time" >&2
if ! [ -x "$venv/bin/python" ] || ! usable "$venv/bin/python"; then
    python=$(find_python)
    "$python" -m venv --clear "$venv"
fi
rm -f "$stamp"
joined=${extras// /,}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$root/tools/constraints.txt" --editable "$root${joined:+[$joined]}" >&2
echo "$wanted $extras" >"$stamp"
