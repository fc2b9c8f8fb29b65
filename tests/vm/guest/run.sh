#!/bin/bash
# Runs inside the virtual machine, in the checkout: installs minipod as README says, then runs the tests marked vm.
set -uo pipefail
./scripts/setup.sh || exit 90
mapfile -t options < "$MINIPOD_VM_OUT/pytest-options"
exec .venv/bin/python -m pytest -p no:cacheprovider -m "vm and ${MINIPOD_VM_PHASE//-/_}" \
  --junitxml "$MINIPOD_VM_OUT/$MINIPOD_VM_PHASE.xml" -q tests/vm "${options[@]}"
