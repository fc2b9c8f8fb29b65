"""The script that makes a Vagrant machine a node, on a machine with interfaces as VirtualBox gives them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.service import MINIPOD, make_pod, run, show, wait_ready

pytestmark = pytest.mark.node

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "packaging" / "provision.sh"
NODE_IP = "192.168.56.10"
DATA = Path("/var/lib/minipod/provisioned")


@pytest.fixture(scope="module")
def interfaces() -> Iterator[None]:
    """Two cables to nowhere: the provider's, which has the default route, and the private network's."""
    cables = (("nat0", "10.0.2.15/24"), ("private0", f"{NODE_IP}/24"))
    for name, address in cables:
        run("ip", "link", "add", name, "type", "veth", "peer", f"{name}-far")
        run("ip", "link", "set", f"{name}-far", "up")
        run("ip", "link", "set", name, "up")
        run("ip", "address", "add", address, "dev", name)
    run("ip", "route", "add", "default", "via", "10.0.2.2")
    yield
    for name, _ in cables:
        run("ip", "link", "delete", name)


@pytest.fixture(scope="module")
def provisioned(interfaces: None) -> Iterator[str]:
    """What the script said. It installs where the checkout is: in this machine nothing can be fetched."""
    more = ["--data-dir", str(DATA), "--log-dir", str(DATA / "log")]
    told = run("env", f"MINIPOD_HOME={ROOT}", str(SCRIPT), NODE_IP, *more)
    yield told
    run(MINIPOD, "uninstall", "--yes")
    Path("/usr/local/bin/minipod").unlink(missing_ok=True)


def test_an_address_that_is_not_there_is_refused(interfaces: None) -> None:
    done = subprocess.run([SCRIPT, "192.168.56.99"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no interface has the address 192.168.56.99" in done.stderr
    assert NODE_IP in done.stderr


def test_the_node_is_known_by_its_own_address(provisioned: str) -> None:
    assert NODE_IP in provisioned
    assert show("minipod.service", "ActiveState") == "active"
    node = json.loads(run("minipod", "get", "nodes", "-o", "json"))["items"][0]
    addresses = {a["type"]: a["address"] for a in node["status"]["addresses"]}
    assert addresses["InternalIP"] == NODE_IP


def test_it_starts_with_the_machine(provisioned: str) -> None:
    assert run("systemctl", "is-enabled", "minipod.service").strip() == "enabled"


@pytest.mark.parametrize("server", ["127.0.0.1", NODE_IP])
def test_kubectl_works_by_the_forwarded_port_and_by_the_nodes_address(
    provisioned: str,
    server: str,
    tmp_path: Path,
) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    file = tmp_path / "kubeconfig"
    file.write_text(run("minipod", "kubeconfig", "--server", f"https://{server}:6443"))
    found = run(kubectl, f"--kubeconfig={file}", f"--cache-dir={tmp_path}", "get", "nodes", "-o", "json")
    conditions = json.loads(found)["items"][0]["status"]["conditions"]
    assert [c["status"] for c in conditions if c["type"] == "Ready"] == ["True"]


def test_the_base_image_is_there_to_run(provisioned: str) -> None:
    make_pod("provisioned")
    wait_ready("provisioned")


def test_it_may_be_run_again_and_pods_go_on(provisioned: str) -> None:
    make_pod("stays")
    wait_ready("stays")
    before = run(
        "minipod", "get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].containerID}"
    )
    run("env", f"MINIPOD_HOME={ROOT}", str(SCRIPT), NODE_IP)
    after = run(
        "minipod", "get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].containerID}"
    )
    assert before == after


def test_the_installed_command_is_the_services(provisioned: str) -> None:
    assert os.path.realpath("/usr/local/bin/minipod") == os.path.realpath(MINIPOD)
