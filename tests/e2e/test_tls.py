"""The API over HTTPS, asked by the real kubectl and by clients that are not let in."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from minipod.pki.directory import PkiDirectory
from tests.helpers.daemon import PROJECT, Daemon, running
from tests.helpers.isolation import unique_directory, unique_word
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
PORT = 6443
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]

ASK = """
import http.client, ssl, sys
ca, pair, path, token = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if pair:
    context.load_cert_chain(pair)
try:
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=20)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())
except (ssl.SSLError, ConnectionResetError) as error:
    print("tls", error)
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Daemon]:
    with (
        unique_word() as word,
        unique_directory() as workdir,
        running(workdir, word, listen=f"0.0.0.0:{PORT}") as daemon,
    ):
        yield daemon


@pytest.fixture(scope="module")
def kubeconfig(node: Daemon) -> Path:
    file = node.workdir / "kubeconfig"
    given = ["--data-dir", node.flags["data-dir"], "--listen", node.flags["listen"]]
    node.cli("kubeconfig", *given, "-o", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    return file


@pytest.fixture
def kubectl(node: Daemon, kubeconfig: Path) -> Kubectl:
    def run(*args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        home = f"--cache-dir={node.workdir}/kube-cache"
        return subprocess.run(
            [*node.inside(KUBECTL or ""), f"--kubeconfig={kubeconfig}", home, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    return run


@pytest.fixture
def ask(node: Daemon, tmp_path: Path) -> Callable[..., tuple[str, Any]]:
    """GET over TLS as the user of a certificate, or as nobody -> (status, answer)."""

    def run(path: str, *, pair: bytes = b"", token: str = "") -> tuple[str, Any]:
        file = ""
        if pair:
            file = str(tmp_path / "pair.pem")
            Path(file).write_bytes(pair)
        ca = f"{node.flags['data-dir']}/pki/ca.crt"
        out = node.enter("python3", "-c", ASK, ca, file, path, token).stdout
        status, _, text = out.partition(" ")
        return status, json.loads(text) if text.startswith("{") else text.strip()

    return run


def client(directory: Path, user: str, *groups: str) -> bytes:
    pair = PkiDirectory(directory).client(user, groups)
    return pair.certificate + pair.key


def data(node: Daemon) -> Path:
    return Path(node.flags["data-dir"]) / "pki"


@needs_kubectl
def test_kubectl_does_over_tls_what_it_does(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(pod("web", container(f"echo hello; {FOREVER}"))))
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=40s")
    assert kubectl("get", "pods", "-o", "name").stdout == "pod/web\n"
    assert kubectl("logs", "web").stdout == "hello\n"
    assert kubectl("exec", "-i", "web", "--", "cat", stdin="to and fro").stdout == "to and fro"
    ended = pod("ended", container("echo one; sleep 0.5; echo two"), restartPolicy="Never")
    kubectl("apply", "-f", "-", stdin=json.dumps(ended))
    assert kubectl("logs", "-f", "--pod-running-timeout=40s", "ended").stdout == "one\ntwo\n"
    kubectl("delete", "pod", "ended", "web", "--grace-period=1")
    assert "No resources found" in kubectl("get", "pods").stderr


@needs_kubectl
def test_a_watch_goes_on_over_tls(node: Daemon, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path) -> None:
    out = tmp_path / "watch"
    argv = [*node.inside(KUBECTL or ""), f"--kubeconfig={kubeconfig}", "get", "pods", "-w", "-o", "name"]
    with out.open("wb") as file, subprocess.Popen(argv, stdout=file) as watching:
        try:
            kubectl("apply", "-f", "-", stdin=json.dumps(pod("seen", container(FOREVER))))
            wait_until(lambda: "pod/seen" in out.read_text(), 30, lambda: "the watch to tell")
        finally:
            watching.terminate()
    kubectl("delete", "pod", "seen", "--grace-period=0", "--force")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
def test_nobody_may_ask_how_it_is(ask: Callable[..., tuple[str, Any]], path: str) -> None:
    assert ask(path)[0] == "200"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api", 'forbidden: User "system:anonymous" cannot get path "/api"'),
        (
            "/api/v1/namespaces/default/pods",
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
            'in the namespace "default"',
        ),
        (
            "/api/v1/namespaces/default/pods/web/log",
            'pods "web" is forbidden: User "system:anonymous" cannot get resource "pods/log" in API group "" '
            'in the namespace "default"',
        ),
        (
            "/api/v1/nodes",
            'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" '
            "at the cluster scope",
        ),
    ],
)
def test_nobody_may_ask_more(ask: Callable[..., tuple[str, Any]], path: str, message: str) -> None:
    status, answer = ask(path)
    assert (status, answer["message"], answer["reason"]) == ("403", message, "Forbidden")


def test_a_certificate_says_who_it_is_and_that_is_not_yet_leave(
    node: Daemon, ask: Callable[..., tuple[str, Any]]
) -> None:
    pair = client(data(node), "alice", "developers")
    assert ask("/apis", pair=pair)[0] == "200"
    status, answer = ask("/api/v1/pods", pair=pair)
    assert status == "403"
    assert 'User "alice" cannot list resource "pods"' in answer["message"]


def test_a_token_is_nobodys(ask: Callable[..., tuple[str, Any]]) -> None:
    status, answer = ask("/healthz", token="made-up")
    assert (status, answer["reason"], answer["message"]) == ("401", "Unauthorized", "Unauthorized")


def test_a_certificate_of_another_authority_is_not_taken(
    ask: Callable[..., tuple[str, Any]], tmp_path: Path
) -> None:
    status, _ = ask("/healthz", pair=client(tmp_path, "eve", "system:masters"))
    assert status == "tls"


def test_old_tls_is_not_spoken(node: Daemon) -> None:
    script = (
        "import socket, ssl; c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.check_hostname = False; "
        "c.verify_mode = ssl.CERT_NONE; c.minimum_version = ssl.TLSVersion.TLSv1; "
        f"c.maximum_version = ssl.TLSVersion.TLSv1_1; c.wrap_socket(socket.create_connection(('127.0.0.1', {PORT})))"
    )
    done = node.enter("python3", "-W", "ignore", "-c", script, check=False)
    assert done.returncode != 0
    assert "SSL" in done.stderr


def test_a_crowd_that_does_not_shake_hands_costs_nobody_time_and_little_memory(
    node: Daemon, ask: Callable[..., tuple[str, Any]]
) -> None:
    silent = node.inside(
        "python3",
        "-c",
        "import socket, time\n"
        f"held = [socket.create_connection(('127.0.0.1', {PORT})) for _ in range(900)]\n"
        "print('held', flush=True)\ntime.sleep(600)",
    )
    before = resident(node)
    with subprocess.Popen(silent, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            assert ask("/healthz")[0] == "200"
            assert resident(node) < before + (24 << 20)
        finally:
            holder.kill()


def resident(node: Daemon) -> int:
    """Bytes of memory the daemon has."""
    return psutil.Process(node.pid).memory_info().rss


def test_an_address_that_cannot_be_had_is_named(node: Daemon, tmp_path: Path) -> None:
    with unique_word() as word, unique_directory() as workdir:
        other = Daemon(workdir, word, listen="192.0.2.1:6443")
        try:
            other.spawn()
            assert other.process is not None
            assert other.process.wait(30) == 1
            assert "cannot listen (listen in the configuration)" in other.log
            assert "192.0.2.1:6443" in other.log
            other.process = None
        finally:
            other.end()


def test_the_certificate_names_the_node_and_its_address(node: Daemon) -> None:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.load_verify_locations(str(data(node) / "ca.crt"))
    for name in ("localhost", node.node, "kubernetes.default.svc.cluster.local"):
        script = (
            "import socket, ssl, sys; c = ssl.create_default_context(cafile=sys.argv[1]); "
            f"c.wrap_socket(socket.create_connection(('127.0.0.1', {PORT})), server_hostname=sys.argv[2])"
        )
        node.enter("python3", "-c", script, str(data(node) / "ca.crt"), name)


def test_an_address_that_comes_is_named_without_a_restart(node: Daemon) -> None:
    node.enter("ip", "link", "add", "extra0", "type", "bridge")
    node.enter("ip", "link", "set", "extra0", "up")
    node.enter("ip", "address", "add", "198.51.100.7/24", "dev", "extra0")
    try:
        script = (
            "import socket, ssl, sys; c = ssl.create_default_context(cafile=sys.argv[1]); "
            f"c.wrap_socket(socket.create_connection(('198.51.100.7', {PORT})), server_hostname='198.51.100.7')"
        )
        ca = str(data(node) / "ca.crt")
        pid = node.pid
        wait_until(
            lambda: node.enter("python3", "-c", script, ca, check=False).returncode == 0,
            30,
            lambda: "the certificate to name the new address",
        )
        assert node.pid == pid
    finally:
        node.enter("ip", "link", "delete", "extra0")


def minipod(node: Daemon, kubeconfig: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The own command line, from the node's network but without its socket."""
    return subprocess.run(
        [*node.inside(sys.executable), "-m", "minipod", "--kubeconfig", str(kubeconfig), *args],
        cwd=PROJECT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_own_command_line_speaks_tls_too(node: Daemon, kubeconfig: Path) -> None:
    def run(*args: str, stdin: str = "") -> str:
        done = minipod(node, kubeconfig, *args, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"https://127.0.0.1:{PORT}" in run("cluster-info")
    run("apply", "-f", "-", stdin=json.dumps(pod("own", container(f"echo hello; {FOREVER}"))))
    run("wait", "--for=condition=Ready", "pod/own", "--timeout=40s")
    assert run("logs", "own") == "hello\n"
    assert run("exec", "-i", "own", "--", "cat", stdin="to and fro") == "to and fro"
    much = "x" * 5_000_000
    assert run("exec", "-i", "own", "--", "cat", stdin=much) == much
    assert minipod(node, kubeconfig, "exec", "own", "--", "sh", "-c", "exit 7").returncode == 7
    run("delete", "pod", "own", "--grace-period=0", "--force")


def test_what_keeps_the_own_command_line_out_is_said(node: Daemon, kubeconfig: Path, tmp_path: Path) -> None:
    def refused(change: Callable[[dict[str, Any]], object]) -> str:
        made = yaml.safe_load(kubeconfig.read_text())
        change(made)
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(made))
        done = minipod(node, file, "get", "pods")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    other = PkiDirectory(tmp_path)
    pair = other.client("eve", ["system:masters"])
    ca = b64encode(other.authority().certificate).decode()
    certificate, key = (b64encode(pem).decode() for pem in (pair.certificate, pair.key))
    assert "is not trusted: " in refused(
        lambda made: made["clusters"][0]["cluster"].update({"certificate-authority-data": ca})
    )
    assert "has the kubeconfig's client certificate ended" in refused(
        lambda made: made["users"][0]["user"].update(
            {"client-certificate-data": certificate, "client-key-data": key}
        )
    )
    assert f"no API server answers at https://127.0.0.1:{PORT + 1}" in refused(
        lambda made: made["clusters"][0]["cluster"].update({"server": f"https://127.0.0.1:{PORT + 1}"})
    )
    assert "is not trusted: Hostname mismatch" in refused(
        lambda made: made["clusters"][0]["cluster"].update({"tls-server-name": "elsewhere"})
    )
    assert 'User "system:anonymous" cannot' in refused(lambda made: made["users"][0]["user"].clear())
    assert "Unauthorized" in refused(lambda made: made["users"][0].update(user={"token": "made-up"}))


def test_what_is_done_on_the_node_is_not_done_by_way_of_a_kubeconfig(node: Daemon, kubeconfig: Path) -> None:
    done = minipod(node, kubeconfig, "down")
    assert done.returncode == 1
    assert "on the node itself" in done.stderr
    assert node.process is not None
    assert node.process.poll() is None


@needs_kubectl
def test_another_user_is_told_what_he_may_not(node: Daemon) -> None:
    file = node.workdir / "ann"
    given = ["--data-dir", node.flags["data-dir"], "--listen", node.flags["listen"]]
    node.cli("kubeconfig", *given, "--user", "ann", "--group", "team", "-o", str(file))
    argv = [KUBECTL or "", f"--kubeconfig={file}", f"--cache-dir={node.workdir}/ann-cache", "get", "pods"]
    done = node.enter(*argv, check=False)
    assert done.returncode == 1
    assert (
        'Error from server (Forbidden): pods is forbidden: User "ann" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    ) in done.stderr


def test_a_name_that_only_clients_know_is_no_hindrance(node: Daemon, kubeconfig: Path) -> None:
    given = ["--data-dir", node.flags["data-dir"], "--listen", node.flags["listen"]]
    made = yaml.safe_load(node.out("kubeconfig", *given, "--server", "https://lab.example:6443"))
    assert made["clusters"][0]["cluster"]["tls-server-name"] == "localhost"
    assert "tls-server-name" not in yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    refused = node.cli("kubeconfig", *given, "--server", "lab:6443", check=False)
    assert "expected a URL such as" in refused.stderr
