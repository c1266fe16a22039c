#!/usr/bin/env bash
# bluez_vm_image.sh SUITE FOLDER: a bootable Debian with BlueZ, made once and kept: FOLDER/{root.squashfs,vmlinuz,initrd,python}.
# The mirror is the one this machine's own apt uses; where that is not a Debian one, mmdebstrap's default.
set -euo pipefail
suite=$1 folder=$2 here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
mirror=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | head -1)
work=$(mktemp -d "$folder/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
packages=systemd-sysv,udev,dbus,bluez,python3,kmod,busybox-static
mmdebstrap --quiet --variant=minbase --format=squashfs --include="$packages" \
  --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook="$here/bluez_vm_guest_setup.sh" \
  --customize-hook="copy-out /out/vmlinuz /out/initrd /out/python $work" \
  --customize-hook='rm -r "$1/out"' \
  "$suite" "$work/root.squashfs" ${mirror:+"$mirror"}
mv "$work"/{vmlinuz,initrd,python} "$folder"
mv "$work/root.squashfs" "$folder"  # last: it says that the image is complete
