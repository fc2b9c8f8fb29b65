#!/bin/bash
# Makes a Debian 12/13 or Ubuntu 24.04 machine a minipod node: copies this checkout, installs it, starts the service.
#   sudo packaging/provision.sh [NODE_IP [OPTIONS of minipod install]]
# NODE_IP is the address other machines reach this one by; without it the one of the default route is taken.
# MINIPOD_HOME (/opt/minipod) is where it is installed. May be run again, as after a change of the checkout.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
home=${MINIPOD_HOME:-/opt/minipod}
node_ip=${1:-}
shift || true

if [ "$(id -u)" != 0 ]; then
  echo "provision: needs root: sudo $0" >&2
  exit 1
fi
if [ -n "$node_ip" ] && ! ip -brief address show | grep -qF " $node_ip/"; then
  echo "provision: no interface has the address $node_ip; these are there:" >&2
  ip -brief address show >&2
  exit 1
fi

# The machine must not need the checkout any more: it may be a shared folder that is not there at boot.
if [ "$checkout" != "$home" ]; then
  mkdir -p "$home"
  tar -C "$checkout" --exclude=./.venv --exclude=./.git --exclude=./.vagrant --exclude=./kubeconfig -c . | tar -C "$home" -x
fi
cd "$home"
./scripts/setup.sh
minipod=$home/.venv/bin/minipod
ln -sfn "$minipod" /usr/local/bin/minipod

options=(--listen 0.0.0.0:6443)
[ -z "$node_ip" ] || options+=(--node-ip "$node_ip")
"$minipod" install "${options[@]}" "$@"

MINIPOD=$minipod ./rootfs/build.sh >/dev/null
"$minipod" get nodes -o wide
