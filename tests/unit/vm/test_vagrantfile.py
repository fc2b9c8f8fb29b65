"""The Vagrantfile, read by a Vagrant that only writes down what it is told: there is no box to be had here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
RUBY = shutil.which("ruby")
pytestmark = pytest.mark.skipif(RUBY is None, reason="ruby is not installed")

RECORDER = """
require "json"
class Recorder
  attr_reader :calls
  def initialize(calls = [], name = "") = (@calls, @name = calls, name)
  def method_missing(name, *args, **options, &block)
    inner = Recorder.new(@calls, @name.empty? ? name.to_s : "#{@name}.#{name}")
    @calls << [inner.name, args, options] unless args.empty? && options.empty?
    block&.call(*[inner, inner].first(block.arity.abs))
    inner
  end
  def respond_to_missing?(*) = true
  attr_reader :name
end
module Vagrant
  def self.configure(version)
    recorder = Recorder.new
    yield recorder
    puts JSON.generate(recorder.calls)
  end
end
load ARGV[0]
"""


def told(directory: Path, **environment: str) -> list[Any]:
    file = directory / "Vagrantfile"
    shutil.copy(ROOT / "Vagrantfile", file)
    done = subprocess.run(
        [RUBY or "ruby", "-e", RECORDER, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return list(json.loads(done.stdout))


def test_the_machine_is_one_that_minipod_supports(tmp_path: Path) -> None:
    calls = told(tmp_path)
    assert ["vm.box=", ["debian/bookworm64"], {}] in calls
    providers = {args[0] for name, args, _ in calls if name == "vm.provider"}
    assert providers == {"virtualbox", "libvirt"}


def test_the_node_has_an_address_of_its_own_and_its_api_is_forwarded(tmp_path: Path) -> None:
    calls = told(tmp_path, MINIPOD_NODE_IP="192.168.56.77", MINIPOD_API_PORT="7443")
    networks = {args[0]: options for name, args, options in calls if name == "vm.network"}
    assert networks["private_network"] == {"ip": "192.168.56.77"}
    assert networks["forwarded_port"] == {"guest": 6443, "host": 7443, "host_ip": "127.0.0.1"}
    provision = next(options for name, _, options in calls if name == "vm.provision")
    assert provision["args"] == ["192.168.56.77"]


def test_what_provisions_it_is_there(tmp_path: Path) -> None:
    provision = next(options for name, _, options in told(tmp_path) if name == "vm.provision")
    script = provision["inline"].split()[1]
    assert script.startswith("/vagrant/")
    assert os.access(ROOT / script.removeprefix("/vagrant/"), os.X_OK)


def test_the_kubeconfig_is_left_for_its_owner_alone(tmp_path: Path) -> None:
    calls = told(tmp_path, MINIPOD_API_PORT="7443")
    asked = next(args for name, args, _ in calls if name.endswith("communicate.sudo"))
    assert asked == ["minipod kubeconfig --server https://127.0.0.1:7443"]
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600
