#!/usr/bin/env bash
# Usage: tools/check.sh
# Style, layout and types: each check runs and is reported; the exit status is 1 if any failed.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/tools/setup.sh" demo dev export slurm || exit
cd "$root" || exit
bin="${VOXKIT_VENV:-$root/.venv}/bin"

failed=0
check() {  # NAME COMMAND ...
    local name=$1
    shift
    if "$@"; then echo "ok: $name"; else echo "FAILED: $name"; failed=1; fi
}

shell_syntax() {
    local script wrong=0
    while IFS= read -r script; do bash -n "$script" || wrong=1; done < <(find tools egs .ci -name '*.sh' -o -path .ci/run)
    return $wrong
}

check "ruff check" "$bin/ruff" check .
check "ruff format" "$bin/ruff" format --check .
check "mypy" "$bin/python" -m mypy
check "shell syntax" shell_syntax
exit "$failed"
