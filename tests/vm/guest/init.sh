#!/bin/busybox sh
# The guest's initramfs: load modules, put a tmpfs over the host's read-only root, hand over to systemd.
# /config on the kernel's command line comes as minipod.*=...: checkout (a path), phase (a word).
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
for word in $($b cat /proc/cmdline); do
  case $word in
    minipod.checkout=*) checkout=${word#*=} ;;
    minipod.phase=*) phase=${word#*=} ;;
    minipod.out=*) out=${word#*=} ;;
  esac
done
if [ "$phase" = probe-alive ]; then
  echo "$phase"
  $b poweroff -f
fi

for module in /modules/*; do $b insmod "$module"; done
$b mount -t virtiofs host /host -o ro
$b mount -t tmpfs -o mode=755,size=3G upper /upper
$b mkdir /upper/data /upper/work
$b mount -t overlay root /new -o lowerdir=/host,upperdir=/upper/data,workdir=/upper/work
for directory in proc sys dev run; do $b mkdir -p /new/$directory; done
$b mount -t tmpfs -o mode=755 run /new/run
$b mkdir -p "/new$out" /new/var/lib/minipod
$b mount -t virtiofs out "/new$out"
# What has to survive a reboot lies on a disk; overlayfs takes it as an upper directory, which it does not take itself.
$b mount -t ext4 /dev/vda /new/var/lib/minipod
$b rm -f /new/.dockerenv /new/run/.containerenv
: > /new/etc/fstab
echo minipod-vm > /new/etc/hostname
: > /new/etc/machine-id

units=/new/etc/systemd/system
$b rm -rf $units/*.wants $units/*.requires
$b cat > $units/minipod-vm.target <<UNIT
[Unit]
Requires=multi-user.target
After=multi-user.target
Wants=minipod-vm-tests.service
UNIT
$b cat > $units/minipod-vm-tests.service <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory=$checkout
Environment=HOME=/root TERM=dumb PYTHONDONTWRITEBYTECODE=1 PIP_NO_INDEX=1 MINIPOD_VM_PHASE=$phase MINIPOD_VM_OUT=$out
ExecStart=/bin/bash $checkout/tests/vm/guest/run.sh
ExecStopPost=/bin/sh -c 'echo "\$EXIT_STATUS" > $out/status; sync; systemctl --no-block poweroff'
TimeoutStartSec=infinity
StandardOutput=append:$out/$phase.log
StandardError=inherit
UNIT
for directory in dev sys proc; do $b mount -o move /$directory /new/$directory; done
exec $b switch_root /new /lib/systemd/systemd
