#!/bin/bash
# Installs what minipod needs on Debian 12/13 or Ubuntu 24.04: a few packages, and minipod itself into .venv.
#   sudo ./scripts/setup.sh          to run minipod
#   sudo ./scripts/setup.sh dev      also what its tests need
# Does nothing that is already done.
set -euo pipefail
cd "$(dirname "$0")/.."

want=${1:-run}
packages=(python3 python3-venv nftables iproute2 busybox-static libseccomp2)
if [ "$want" = dev ]; then
  packages+=(gcc libc6-dev git crun runc skopeo umoci shellcheck ruby)
fi

if [ "$(id -u)" != 0 ]; then
  echo "setup: needs root: sudo ./scripts/setup.sh" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

python=
for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
  if "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "setup: minipod needs Python 3.11 or newer with venv" >&2
  exit 1
fi

extras=""
[ "$want" = dev ] && extras="[dev]"
stamp=.venv/.minipod-"$want"
if [ ! "$stamp" -nt pyproject.toml ] || ! .venv/bin/python -c 'import minipod' 2>/dev/null; then
  echo "setup: installing minipod$extras into .venv"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  PYTHONDONTWRITEBYTECODE='' .venv/bin/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore -e ".$extras"
  touch "$stamp"
fi
# An editable install is not compiled by pip, and root's first command should not pay for it.
.venv/bin/python -m compileall -q minipod
