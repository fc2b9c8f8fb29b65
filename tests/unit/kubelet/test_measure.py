"""The arithmetic of statistics: rates from two looks, proc(5) and pressure files, Prometheus' text format."""

from __future__ import annotations

from pathlib import Path

from minipod.kubelet.server.exposition import Family, page
from minipod.kubelet.server.measure import CpuRates
from minipod.linux import machine
from minipod.linux.cgroup2 import io, pressure

SECOND = 1_000_000_000

MEMINFO = "MemTotal: 1000 kB\nMemFree: 300 kB\nInactive(file): 200 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n"
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0: 5000 10 3 0 0 0 0 0 700 8 4 0 0 0 0 0
"""


def test_a_rate_needs_two_looks_that_are_a_second_apart() -> None:
    rates = CpuRates()
    assert rates.nanocores("a", 0, 0) is None
    assert rates.nanocores("a", SECOND // 2, 100) is None
    assert rates.nanocores("a", 2 * SECOND, SECOND) == SECOND // 2
    assert rates.nanocores("a", 2 * SECOND + 5, SECOND + 5) == SECOND // 2
    assert rates.nanocores("b", 3 * SECOND, 7) is None


def test_a_group_made_anew_starts_anew() -> None:
    rates = CpuRates()
    rates.nanocores("a", 0, 900)
    assert rates.nanocores("a", 2 * SECOND, 10) is None
    rates.forget_all_but(["b"])
    assert rates.nanocores("a", 9 * SECOND, 10) is None


def test_memory_and_network_of_the_machine() -> None:
    use = machine.memory_use(MEMINFO)
    assert (use.used, use.working_set, use.swap_used) == (700 << 10, 500 << 10, 30 << 10)
    (eth0,) = machine.interfaces(NET_DEV)
    assert (eth0.name, eth0.rx_bytes, eth0.rx_errors, eth0.tx_bytes, eth0.tx_errors) == (
        "eth0",
        5000,
        3,
        700,
        4,
    )


def test_pressure_is_read_from_the_kernels_two_lines(tmp_path: Path) -> None:
    line = "avg10=1.50 avg60=0.20 avg300=0.00 total={}"
    (tmp_path / "cpu.pressure").write_text(f"some {line.format(12)}\nfull {line.format(7)}\n")
    found = pressure.read(tmp_path, "cpu")
    assert found is not None
    assert (found.some.avg10, found.some.avg60, found.some.total_us, found.full.total_us) == (
        1.5,
        0.2,
        12,
        7,
    )
    assert pressure.read(tmp_path, "io") is None


def test_disk_traffic_is_summed_over_devices(tmp_path: Path) -> None:
    one = "rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0"
    (tmp_path / "io.stat").write_text(f"254:0 {one}\n8:0 {one}\n7:0 \n")
    assert io.stat(tmp_path) == io.IoStat(read_bytes=20, written_bytes=40, reads=2, writes=4)


def test_samples_are_written_as_prometheus_reads_them() -> None:
    family = Family("a_total", "counter", "About a.")
    family.add(1.5, {"x": 'q"\\\n'}, at_ms=7)
    family.add(2)
    expected = '# HELP a_total About a.\n# TYPE a_total counter\na_total{x="q\\"\\\\\\n"} 1.5 7\na_total 2\n'
    assert page([family, Family("empty", "gauge", "Nothing.")]) == expected
