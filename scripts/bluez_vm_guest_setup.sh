#!/usr/bin/env bash
# bluez_vm_guest_setup.sh ROOT: called by mmdebstrap on the unpacked system. Adds the kernel modules that a radio in
# software needs, a service that runs the trial and switches off, and leaves kernel and initrd in ROOT/out.
set -euo pipefail
root=$1
work=$(mktemp -d "$root/tmp/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The kernel is unpacked, not installed: half a gigabyte of drivers for hardware that a virtual machine does not have.
export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-\)/\1/p' | head -1)
(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x ./*.deb .)
unset APT_CONFIG
modules=$work/lib/modules
[ -d "$modules" ] || modules=$work/usr/lib/modules
version=$(ls "$modules")
source=$modules/$version/kernel target=$root/lib/modules/$version/kernel
find "$source" -name '*.ko.xz' -exec xz -d {} +
mkdir -p "$target"
wanted=(
  net/bluetooth/bluetooth.ko net/rfkill drivers/bluetooth/hci_vhci.ko drivers/hid/uhid.ko drivers/hid/hid.ko
  net/9p fs/9p fs/netfs fs/fscache fs/squashfs fs/overlayfs drivers/virtio drivers/block/virtio_blk.ko drivers/char/hw_random
  crypto lib/crypto arch/x86/crypto lib/crc16.ko lib/crc-ccitt.ko
)
for path in "${wanted[@]}"; do
  [ -e "$source/$path" ] || continue  # a module of one kernel version is built in, or named otherwise, in another
  (cd "$source" && find "$path" -name '*.ko' | cpio -pdm --quiet "$target")
done
cp "$modules/$version"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$version/"
chroot "$root" depmod "$version"

mkdir -p "$root/share" "$root/packages" "$root/out"
printf 'hci_vhci\nuhid\nalgif_hash\nalgif_skcipher\ncmac\necb\nccm\n' > "$root/etc/modules-load.d/radio.conf"
printf '9p\n9pnet_virtio\n' > "$root/etc/modules-load.d/share.conf"
cat > "$root/etc/systemd/system/trial.service" <<'UNIT'
[Unit]
Description=Tiltline against a true BlueZ
After=bluetooth.service dbus.service multi-user.target
Wants=bluetooth.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStartPre=/bin/mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose packages /packages
ExecStartPre=/bin/mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share
ExecStart=/bin/sh /share/trial.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=graphical.target
UNIT
chroot "$root" systemctl --quiet enable trial.service bluetooth.service
chroot "$root" systemctl --quiet mask serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer

chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' > "$root/out/python"
cp "$work/boot/vmlinuz-$version" "$root/out/vmlinuz"

# The initrd only joins the read-only image with a layer in memory, so that every run begins with the same system.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,m,proc,dev,image,layer,root}
cp "$root/bin/busybox" "$initrd/bin/"
for name in virtio_pci virtio_blk squashfs overlay; do
  chroot "$root" modprobe -S "$version" -a --show-depends "$name" | awk '/^insmod/ {print $2}'
done | awk '!seen[$0]++' | while read -r path; do
  cp "$root$path" "$initrd/m/" && basename "$path" >> "$initrd/m/order"
done
cat > "$initrd/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t devtmpfs dev /dev
$b grep -q tiltline.probe /proc/cmdline && echo "the kernel runs" && $b poweroff -f
for m in $($b cat /m/order); do $b insmod /m/$m; done
i=0; while [ ! -b /dev/vda ] && [ $i -lt 200 ]; do $b usleep 50000; i=$((i+1)); done
$b mount -t squashfs -o ro /dev/vda /image && $b mount -t tmpfs layer /layer && $b mkdir /layer/up /layer/work &&
$b mount -t overlay -o lowerdir=/image,upperdir=/layer/up,workdir=/layer/work root /root &&
$b umount /proc && $b mount --move /dev /root/dev && exec $b switch_root /root /sbin/init
echo "the image could not be mounted"; $b poweroff -f
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet) > "$root/out/initrd"
