#!/usr/bin/env bash
# The test suite once more on Python 3.12, where that interpreter exists; otherwise it says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
found=""
for candidate in python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python3.12; do
    if "$candidate" -c 'import ensurepip, sqlite3' >/dev/null 2>&1; then
        found="$candidate"
        break
    fi
done
if [ -z "$found" ]; then
    echo "Python 3.12: skipped, no such interpreter here"
    exit 0
fi
"$found" -m venv "${VENV:-.venv}-3.12"
"${VENV:-.venv}-3.12/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
"${VENV:-.venv}-3.12/bin/python" -m pytest -n "${WORKERS:-2}" -m 'not proof'
echo "Python 3.12: passed"
