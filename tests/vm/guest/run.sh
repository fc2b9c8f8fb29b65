#!/bin/bash
# Runs inside the virtual machine, in the checkout: installs minipod as README says, then runs the tests marked vm.
set -uo pipefail
./scripts/setup.sh || exit 90
# Everything is emulated here; what tests wait for may take that much longer.
export MINIPOD_TEST_SLOWNESS="${MINIPOD_TEST_SLOWNESS:-4}"
mapfile -t options < "$MINIPOD_VM_OUT/pytest-options"
exec .venv/bin/python -m pytest -p no:cacheprovider -m "vm and ${MINIPOD_VM_PHASE//-/_}" \
  --junitxml "$MINIPOD_VM_OUT/$MINIPOD_VM_PHASE.xml" -q tests/vm "${options[@]}"
