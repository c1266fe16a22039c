#!/usr/bin/env bash
# bluez_vm.sh [12|13]: `tiltline run` with simulated sensors against the true kernel and BlueZ of a Debian, in a virtual
# machine, through every fault of tests/bluez/trial.py. Prints a table; exit status 1 where a bar is missed.
# The image is made once (two minutes) and kept in ${XDG_CACHE_HOME:-~/.cache}/tiltline-bluez.
set -euo pipefail
debian=${1:-12} python=${PYTHON:-python3}
case $debian in
  12) suite=bookworm ;; 13) suite=trixie ;;
  *) echo "DEBIAN is '$debian'; use 12 or 13" >&2; exit 2 ;;
esac
[ "$(uname -m)" = x86_64 ] || { echo "The virtual machine is made for x86_64; this is $(uname -m)" >&2; exit 2; }
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tiltline-bluez
results=$PWD/artifacts/bluez-debian$debian.json

declare -A provides=([qemu-system-x86]=qemu-system-x86_64)
[ -e "$cache/$suite/root.squashfs" ] ||
  provides+=([mmdebstrap]=mmdebstrap [squashfs-tools-ng]=tar2sqfs [cpio]=cpio [xz-utils]=xz)
missing=()
for package in "${!provides[@]}"; do
  command -v "${provides[$package]}" >/dev/null || missing+=("$package")
done
[ -e "$cache/$suite/root.squashfs" ] || [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
  missing+=(debian-archive-keyring)
if [ ${#missing[@]} != 0 ]; then
  install="apt-get install --no-install-recommends ${missing[*]}"
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  command -v apt-get >/dev/null && { [ -z "$as_root" ] || sudo -n true 2>/dev/null; } || {
    echo "Missing: ${missing[*]}. Run once as root: $install" >&2; exit 2; }
  echo "Installing Debian packages: ${missing[*]}"
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root $install -y -qq >/dev/null
fi

if [ ! -e "$cache/$suite/root.squashfs" ]; then
  echo "Making the image of Debian $debian in $cache/$suite (once, about two minutes)"
  scripts/bluez_vm_image.sh "$suite" "$cache/$suite"
fi

# Python packages of the guest's Python, by our own pins; anew when what is wanted or a pin changes.
version=$(cat "$cache/$suite/python")
mapfile -t wanted < <("$python" - <<'PY'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extra = project["optional-dependencies"]
every = project["dependencies"] + extra["research"] + extra["gateway"] + extra["test"]
print(*(d for d in every if not d.startswith("tiltline") and (d not in extra["test"] or d.startswith(("bumble", "pytest>")))), sep="\n")
PY
)
key=$({ printf '%s\n' "${wanted[@]}"; cat constraints.txt; } | sha256sum | cut -c1-12)
packages=$cache/packages-$version-$key compiled=$cache/compiled-$version-$key.tar
if [ ! -e "$packages/.complete" ]; then
  echo "Fetching Python packages for Python $version"
  rm -rf "$cache/packages-$version-"* "$cache/compiled-$version-"*
  platforms=(); for glibc in 17 24 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
  "$python" -m pip install --quiet --disable-pip-version-check --target "$packages" --constraint constraints.txt \
    --only-binary=:all: --implementation cp --python-version "$version" "${platforms[@]}" \
    --platform manylinux2014_x86_64 "${wanted[@]}"
  touch "$packages/.complete"
fi

# A copy: the trial does not change with the working tree while it runs.
share=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$share"' EXIT
mkdir "$share/src"
[ ! -e "$compiled" ] || cp "$compiled" "$share/pycache.tar"
tar -c --exclude=__pycache__ pyproject.toml README.md LICENSE processing sensor_gateway dashboards tests/__init__.py tests/ble \
  tests/bluez | tar -x -C "$share/src"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$share/app" "$share/src"
cat > "$share/trial.sh" <<GUEST
set -e
export PYTHONPATH=/run/app:/packages PYTHONPYCACHEPREFIX=/run/pycache HOME=/root
mkdir /run/pycache
[ ! -e /share/pycache.tar ] || tar -xf /share/pycache.tar -C /run/pycache
# The gateway's own files lie in memory, as on a machine's own disk: a look into the shared folder waits for the host.
cp -r /share/app /share/src /run
cd /run/src
# Compiled by the guest's own Python before anything is timed; what the packages are compiled to is kept for the next run.
python3 -c "import scipy.signal, sensor_gateway.cli.run, sensor_gateway.radio.sensors, tests.bluez.trial"
[ -e /share/pycache.tar ] || { tar -cf /share/pycache.part -C /run/pycache packages usr; mv /share/pycache.part /share/pycache.new; }
sync
exec python3 -m tests.bluez.trial --out /share/result.json ${STEPS:+--steps=$STEPS}
GUEST

# Where /dev/kvm is there it may still not carry a kernel (some nested machines): a probe boot tells.
machine=(qemu-system-x86_64 -machine q35 -m 1536 -nodefaults -no-reboot -display none -nic none -serial stdio
  -kernel "$cache/$suite/vmlinuz" -initrd "$cache/$suite/initrd")
accelerator=kvm
speed=(-accel kvm -cpu host -smp 2)
if [ ! -w /dev/kvm ] ||
  ! timeout 15 "${machine[@]}" "${speed[@]}" -append "console=ttyS0 quiet panic=-1 tiltline.probe" </dev/null 2>&1 |
    grep -q "the kernel runs"; then
  # An emulated machine counts its own instructions as time, a nanosecond each (one core of a small board's order), so that
  # what is measured does not depend on how busy this machine is; only the waiting does.
  accelerator=tcg-icount
  speed=(-accel tcg -cpu max -icount "shift=0,sleep=on")
  echo "KVM is not usable here: the machine is emulated; the trial takes longer, its times are in its own clock" >&2
fi
limit=${TIMEOUT:-1800} ended=0
timeout --foreground "$limit" "${machine[@]}" "${speed[@]}" \
  -append "console=ttyS0 quiet loglevel=3 systemd.show_status=no panic=-1 mitigations=off tiltline.accelerator=$accelerator" \
  -drive "file=$cache/$suite/root.squashfs,if=virtio,format=raw,readonly=on" -device virtio-rng-pci \
  -virtfs "local,path=$packages,mount_tag=packages,security_model=none,readonly=on" \
  -virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap" </dev/null || ended=$?
[ "$ended" != 124 ] || {
  echo "Not finished in $limit s of this machine, which says nothing of the bars; on a busy one: TIMEOUT=3600 make bluez" >&2
  exit 2; }
[ ! -e "$share/pycache.new" ] || mv "$share/pycache.new" "$compiled"
[ -e "$share/result.json" ] || { echo "The virtual machine ended without a result; its last words stand above" >&2; exit 2; }
mkdir -p artifacts && cp "$share/result.json" "$results" && cp "$share/gateway.log" "${results%.json}.log"
echo "Result: ${results#"$PWD/"}, and what the gateway said beside it"
"$python" -c 'import json, sys; sys.exit(not json.load(open(sys.argv[1]))["passed"])' "$results"
