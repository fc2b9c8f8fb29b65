#!/bin/bash
# From nothing to a pod with a page in one command:
#   sudo ./scripts/demo.sh
# Installs what minipod needs, makes a base image, starts the daemon if none runs, applies
# examples/web-with-sidecar.yaml, fetches a page from the pod and shows what the pod is made of. May be run again.
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/setup.sh

minipod() { .venv/bin/minipod "$@"; }
socket=${MINIPOD_SOCKET:-/run/minipod/minipod.sock}
log=/var/log/minipod.log

if ! minipod get --raw /readyz >/dev/null 2>&1; then
  echo "demo: starting the daemon (its log: $log)"
  setsid .venv/bin/minipod daemon --cgroup-enforcement best-effort >>"$log" 2>&1 </dev/null &
  daemon=$!
  until minipod get --raw /readyz >/dev/null 2>&1; do
    if ! kill -0 "$daemon" 2>/dev/null; then
      echo "demo: the daemon ended at once; its last words:" >&2
      tail -n 20 "$log" >&2
      exit 1
    fi
    sleep 0.1
  done
fi

if ! minipod image inspect minipod/base >/dev/null 2>&1; then
  echo "demo: making the image minipod/base from busybox"
  MINIPOD=$PWD/.venv/bin/minipod rootfs/build.sh
fi

minipod apply -f examples/web-with-sidecar.yaml
minipod wait --for=condition=Ready pod/web --timeout=60s
echo
minipod get pods -o wide

address=$(minipod get pod web -o 'jsonpath={.status.podIP}')
echo
echo "\$ fetch http://$address:8080/"
.venv/bin/python - "http://$address:8080/" <<'PYTHON'
import sys, time, urllib.request

for attempt in range(50):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode(), end="")
        break
    except OSError:
        if attempt == 49:
            raise
        time.sleep(0.1)
PYTHON

echo
minipod anatomy web

cat <<TEXT

The pod is running. Look around:
  sudo .venv/bin/minipod logs web -c web
  sudo .venv/bin/minipod exec -it web -c writer -- sh
Remove it:
  sudo .venv/bin/minipod delete -f examples/web-with-sidecar.yaml
Stop the daemon and all pods; then remove every trace:
  sudo .venv/bin/minipod down
  sudo .venv/bin/minipod purge --yes
TEXT
[ "$socket" = /run/minipod/minipod.sock ] || echo "(with --socket $socket)"
