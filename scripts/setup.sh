#!/usr/bin/env bash
# Make the virtual environment and check the system's GL library. Does nothing if nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}

fail() { printf '\nsetup: %s\n' "$1" >&2; exit 1; }

# 1. a Python that everything has wheels for
python=
for candidate in "${PYTHON:-}" python3.11 python3.12 python3; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
  if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || fail "Python 3.11 or 3.12 is needed. Run: sudo apt-get install -y python3.11 python3.11-venv   (or: make ... PYTHON=/path/to/python3.11)"

# 2. the environment, made again when a dependency changes
want=$(cat pyproject.toml constraints.txt scripts/setup.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat "$VENV/.complete" 2>/dev/null)" != "$want" ]; then
  [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV" || fail "no virtual environment could be made. Run: sudo apt-get install -y python3-venv"
  pip=("$VENV/bin/python" -m pip --disable-pip-version-check install)
  torch=$(grep '^torch==' constraints.txt)
  echo "setup: installing $torch into $VENV (a few hundred MB; on Linux without TORCH_INDEX it may bring CUDA, 3 GB)"
  "${pip[@]}" "$torch" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
  echo "setup: installing the benchmark and its pinned dependencies"
  "${pip[@]}" -e '.[dev]' -c constraints.txt
  echo "$want" >"$VENV/.complete"
fi

# 3. a GL library that renders without a screen
if ! "$VENV/bin/python" -c 'from envs.render import choose_backend; choose_backend()' 2>/dev/null; then
  packages="libegl1 libgl1-mesa-dri"
  echo "setup: the GL library for rendering without a screen is missing; installing $packages"
  if ! command -v apt-get >/dev/null; then
    fail "install EGL (libEGL.so.1 and Mesa's drivers) with your package manager, then run this again"
  elif [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq $packages
  elif sudo -n true 2>/dev/null; then
    sudo apt-get update -qq && sudo apt-get install -y -qq $packages
  else
    fail "you may not install system packages without a password here. Run: sudo apt-get install -y $packages"
  fi
fi
