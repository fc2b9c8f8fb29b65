"""Who is let in at the socket."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minipod.api.errors import StatusError
from minipod.apiserver import users
from minipod.client.http import ApiClient
from tests.unit.apiserver.serving import ServerThread


@pytest.mark.parametrize("uid", [1000, 65534, None])
def test_only_root_and_the_daemons_own_user(
    server: ServerThread, api: ApiClient, monkeypatch: pytest.MonkeyPatch, uid: int | None
) -> None:
    monkeypatch.setattr(users, "_peer_uid", lambda _: uid)
    with pytest.raises(StatusError, match="the API socket is for root") as refused:
        api.get("/api/v1/pods")
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_the_kernel_says_who_it_is(server: ServerThread) -> None:
    # The mode of the file and of its directories keeps others out; this is about those it would let in.
    server.directory.chmod(0o755)
    server.socket.chmod(0o666)
    code = (
        "import os, socket, sys\n"
        "os.chdir(os.path.dirname(sys.argv[1]))\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(os.path.basename(sys.argv[1]))\n"
        "s.sendall(b'GET /api/v1/pods HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "print(s.recv(4096).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(server.socket)], capture_output=True, text=True, check=False
    )
    assert "403 Forbidden" in done.stdout, done.stderr
    assert "uid 65534" in done.stdout
