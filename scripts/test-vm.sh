#!/bin/bash
# Boots a real Debian kernel with systemd in qemu (KVM where it works, else emulated), installs minipod in it and runs
# the tests marked vm there.
#   sudo ./scripts/test-vm.sh [--results DIRECTORY] [--phase first|reboot] [-- PYTEST OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh      # what the guest would install, for it has no network
./scripts/setup.sh dev
[ -e .venv/minipod-base.tar ] || ./rootfs/build.sh .venv/minipod-base.tar >/dev/null
packages=(qemu-system-x86 linux-image-cloud-amd64 cpio kmod e2fsprogs systemd)
[ -e /usr/lib/qemu/virtiofsd ] || ! apt-cache show virtiofsd >/dev/null 2>&1 || packages+=(virtiofsd)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "test-vm: installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

exec .venv/bin/python -m tests.vm.run "$@"
