#!/usr/bin/env bash
# The Debian packages that the tests drive as real servers and a real browser; installs only what is missing.
set -euo pipefail
declare -A provides=(
  [mosquitto]=mosquitto [influxdb]=influxd [nginx-light]=nginx [chromium]=chromium [poppler-utils]=pdftotext
  [docker-compose]=docker-compose [npm]=npm [prometheus]=promtool [faketime]=faketime
)
missing=()
for package in "${!provides[@]}"; do
  PATH=$PATH:/usr/sbin command -v "${provides[$package]}" >/dev/null || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "Missing for the tests: ${missing[*]} (no apt-get here; install them by hand)" >&2; exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || {
    echo "Missing for the tests: ${missing[*]}. Run once as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  }
  as_root=sudo
fi
echo "Installing Debian packages for the tests: ${missing[*]}"
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
