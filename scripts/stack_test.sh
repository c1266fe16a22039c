#!/usr/bin/env bash
# stack_test.sh PYTHON [OPTION...]: the compose stack in podman, in a network of its own that reaches nothing outside.
# Base image and wheels are made with this machine's own apt and pip once and kept in ~/.cache/tiltline-stack.
set -euo pipefail
python=$1; shift
cache=${TILTLINE_STACK_CACHE:-$HOME/.cache/tiltline-stack}
[ "$(id -u)" = 0 ] || { echo "make stack-test needs root (containers with users of their own): sudo make stack-test" >&2; exit 1; }
declare -A provides=(
  [podman]=podman [runc]=runc [netavark]=/usr/lib/podman/netavark [aardvark-dns]=/usr/lib/podman/aardvark-dns
  [iptables]=iptables [iproute2]=ip [mmdebstrap]=mmdebstrap
)
missing=()
for package in "${!provides[@]}"; do command -v "${provides[$package]}" >/dev/null || missing+=("$package"); done
if [ ${#missing[@]} != 0 ]; then
  echo "Installing Debian packages for the stack's test: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
mkdir -p "$cache/wheels"

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
if [ ! -s "$cache/base-$suite.tar" ]; then
  echo "Making the base image: Debian $suite (once, some minutes)"
  mirror=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | head -1)
  packages=python3,python3-venv,ca-certificates,tzdata,mosquitto,influxdb,nginx-light,netcat-openbsd,wget
  mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Retries "3"' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$cache/base.new.tar" ${mirror:+"$mirror"}
  mv "$cache/base.new.tar" "$cache/base-$suite.tar"
fi

# The image installs without a network: what constraints.txt pins lies ready, for the Python of the base image.
pins=$(cat constraints.txt pyproject.toml | sha256sum | cut -c1-16)
if [ ! -e "$cache/wheels/.$pins" ]; then
  echo "Fetching the pinned Python packages for the image (once)"
  /usr/bin/python3 -m venv --without-pip "$cache/python"
  "$python" -m tests.stack.wheels >"$cache/requirements.txt"
  "$python" -m pip --python "$cache/python/bin/python" download -qqq --disable-pip-version-check --only-binary :all: \
    --constraint constraints.txt --dest "$cache/wheels" --requirement "$cache/requirements.txt"
  touch "$cache/wheels/.$pins"
fi
exec unshare --net --mount --pid --fork --kill-child --mount-proc "$python" -m tests.stack "$cache" "$suite" "$@"
