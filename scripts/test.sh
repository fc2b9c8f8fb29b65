#!/bin/bash
# Installs what the tests need and runs all of them that this host can run; says what it skipped and why.
#   sudo ./scripts/test.sh [PYTEST OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh dev
[ -e .venv/minipod-base.tar ] || ./rootfs/build.sh .venv/minipod-base.tar >/dev/null

# What measures the whole machine has it for itself; with options that select none of it, pytest ends with 5.
status=0
.venv/bin/python -m pytest -m alone -q "$@" || status=$?
[ "$status" != 5 ] || status=0
# More workers than cores: most tests wait for the kernel, not for a processor.
.venv/bin/python -m pytest -m "not alone" -n "${MINIPOD_TEST_WORKERS:-$(($(nproc) * 2))}" --dist=worksteal -q "$@" || status=$?
exit "$status"
