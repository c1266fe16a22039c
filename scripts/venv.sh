#!/usr/bin/env bash
# venv.sh PYTHON VENV EXTRA: the project's own environment with the pinned packages of one extra.
set -euo pipefail
python=$1 venv=$2 extra=$3
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
  echo "No '$python' here. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python $version is too old; Tiltline needs 3.11 or newer: make PYTHON=python3.11" >&2; exit 1; }
if [ ! -x "$venv/bin/pip" ]; then
  echo "Setting up: virtual environment in $venv (Python $version)"
  if ! "$python" -m venv "$venv" 2>/tmp/tiltline-venv.$$; then
    # Debian splits venv out of Python; without root the package 'virtualenv' does as well.
    rm -rf "$venv"
    if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
      as_root=$([ "$(id -u)" = 0 ] || echo sudo)
      echo "Installing the Debian package python3-venv"
      $as_root apt-get update -qq && $as_root apt-get install -y -qq "python$version-venv" >/dev/null
      "$python" -m venv "$venv"
    elif ! "$python" -m virtualenv -q "$venv" 2>/dev/null; then
      cat /tmp/tiltline-venv.$$ >&2
      echo "Python cannot make virtual environments here; ask for the Debian package python$version-venv" >&2; exit 1
    fi
  fi
  rm -f /tmp/tiltline-venv.$$
fi
echo "Setting up: Python packages for '$extra' (pinned in constraints.txt; takes a minute the first time)"
"$venv/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extra]"
