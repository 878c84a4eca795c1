#!/usr/bin/env bash
# Usage: tools/test.sh [PYTEST ARGUMENT ...]
# Sets up what the tests need and runs them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/tools/setup.sh" demo dev export slurm
cd "$root"
exec "${VOXKIT_VENV:-$root/.venv}/bin/python" -m pytest "$@"
