#!/bin/sh
# Build the pause program for this machine: build.sh [OUTPUT]
# Without OUTPUT it replaces the prebuilt one that the package ships (minipod/runtime/pause-<machine>).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-"$here/../../minipod/runtime/pause-$(uname -m)"}
${CC:-gcc} -Os -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
    -static -nostdlib -nostartfiles -Wall -Wextra -Werror \
    -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,noexecstack -s \
    -o "$output" "$here/pause.c"
