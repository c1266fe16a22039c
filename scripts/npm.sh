#!/bin/sh
# Installs the pinned packages of DIR/package.json, once; afterwards what needs them works without a network.
# Usage: scripts/npm.sh DIR
set -eu
cd "$1"
# Test workers may call this at the same time: the first installs, the others wait.
exec 9< package.json
flock 9
stamp=node_modules/.installed-from
if [ -f "$stamp" ] && cmp -s package.json "$stamp"; then
    exit 0
fi
# No lock file: it would hold the address of whichever registry was used. No scripts: none of the packages needs one.
npm install --no-package-lock --no-fund --no-audit --ignore-scripts --loglevel=error
cp package.json "$stamp"
