#!/bin/bash
# The base image minipod/base, made offline from Debian's busybox-static.
#
#   rootfs/build.sh            make it and give it to the running minipod daemon
#   rootfs/build.sh OUT.tar    only make its root file system as a tar
#
# The same busybox always gives the same tar, byte for byte, whoever makes it and when. Needs bash, coreutils, tar and
# busybox-static. Environment: BUSYBOX (the binary), MINIPOD (the command to call), MINIPOD_SOCKET (the daemon's socket).
set -euo pipefail
export LC_ALL=C
umask 022

image=minipod/base
here=$(cd "$(dirname "$0")" && pwd)

die() {
  echo "rootfs/build.sh: $*" >&2
  exit 1
}

case ${1:-} in
  -*) die "usage: rootfs/build.sh [OUT.tar]" ;;
esac
[ $# -le 1 ] || die "usage: rootfs/build.sh [OUT.tar]"

find_busybox() {
  local path
  for path in "${BUSYBOX:-}" /bin/busybox /usr/bin/busybox; do
    if [ -n "$path" ] && [ -x "$path" ]; then
      echo "$path"
      return
    fi
  done
  die "no busybox here; install it: apt-get install busybox-static"
}

# Everything lives in /bin; the other usual places lead there, so that #!/usr/bin/env and full paths work.
stage_programs() {
  local root=$1 busybox=$2 applet
  mkdir -p "$root/bin" "$root/usr"
  cp "$busybox" "$root/bin/busybox"
  chmod 755 "$root/bin/busybox"
  for applet in $("$busybox" --list); do
    case $applet in
      busybox | linuxrc) ;;
      *) ln -s busybox "$root/bin/$applet" ;;
    esac
  done
  ln -s bin "$root/sbin"
  ln -s ../bin "$root/usr/bin"
  ln -s ../bin "$root/usr/sbin"
}

stage_tree() {
  local root=$1
  mkdir -p "$root"/{dev,etc,home,mnt,proc,run,sys,var/cache,var/lib,var/log}
  mkdir -m 700 "$root/root"
  mkdir -m 1777 "$root/tmp" "$root/var/tmp"
  chmod 1777 "$root/tmp" "$root/var/tmp" # mkdir -m heeds no umask, but some file systems drop the sticky bit
  ln -s ../run "$root/var/run"
  cp "$here"/etc/* "$root/etc/"
  # A pod's own are mounted over these; where they are missing, every container has to create them first.
  touch "$root"/etc/{hosts,hostname,resolv.conf}
  chmod 644 "$root"/etc/*
}

# busybox of the package `busybox` is dynamic: in a root without libraries it does not start.
check_static() {
  local root=$1
  [ "$(id -u)" -ne 0 ] || chroot "$root" /bin/busybox true 2>/dev/null ||
    die "$2 does not run in an empty root, it is not static; install busybox-static"
}

pack() {
  tar --create --file="$2" --directory="$1" --format=ustar --sort=name --mtime=@0 \
    --owner=0 --group=0 --numeric-owner .
}

find_minipod() {
  if [ -n "${MINIPOD:-}" ]; then
    echo "$MINIPOD"
  elif [ -x "$here/../.venv/bin/minipod" ]; then
    echo "$here/../.venv/bin/minipod"
  else
    command -v minipod || die "no minipod command here; set MINIPOD, or give OUT.tar"
  fi
}

busybox=$(find_busybox)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -m 755 "$work/root"
stage_programs "$work/root" "$busybox"
stage_tree "$work/root"
check_static "$work/root" "$busybox"
pack "$work/root" "$work/root.tar"

if [ $# -eq 1 ]; then
  # Aside and renamed: a tar under that name is always a whole one.
  cp "$work/root.tar" "$1.$$"
  mv "$1.$$" "$1"
else
  minipod=$(find_minipod)
  "$minipod" image build-rootfs "$work/root.tar" "$image" ||
    die "$image was made, but the daemon did not take it; is it running? (minipod daemon)"
fi
