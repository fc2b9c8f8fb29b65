#!/bin/bash
# Installs what the tests need and runs all of them that this host can run; says what it skipped and why.
#   sudo ./scripts/test.sh [PYTEST OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh dev
[ -e .venv/minipod-base.tar ] || ./rootfs/build.sh .venv/minipod-base.tar >/dev/null

# More workers than cores: most tests wait for the kernel, not for a processor.
exec .venv/bin/python -m pytest -n "${MINIPOD_TEST_WORKERS:-$(($(nproc) * 2))}" --dist=worksteal -q "$@"
