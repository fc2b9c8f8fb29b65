"""Boots the virtual machine: this host's files below a throw-away layer, a disk that lasts, results by a share."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import initramfs

VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
DISK_SIZE = 2 << 30
PROBE = "probe-alive"
"""A phase that ends in the initramfs, having said its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`directory` holds the disk, logs and results; `checkout` is the minipod to test. Memory in MiB."""

    directory: Path
    checkout: Path
    cpus: int = 2
    memory: int = 3072

    @property
    def disk(self) -> Path:
        return self.directory / "disk.img"

    @property
    def out(self) -> Path:
        return self.directory / "out"

    def make_disk(self) -> None:
        """An empty ext4 disk for what has to survive a reboot."""
        self.out.mkdir(parents=True, exist_ok=True)
        with self.disk.open("wb") as file:
            file.truncate(DISK_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.disk)], check=True)

    def pass_on(self, words: Sequence[str]) -> None:
        """Options for the pytest that runs inside."""
        (self.out / "pytest-options").write_text("".join(f"{word}\n" for word in words))

    def boot(self, phase: str, *, timeout: float) -> int:
        """Boot, run the tests of this phase, power off; the guest's exit status. Raises RuntimeError without one."""
        status = self.out / "status"
        status.unlink(missing_ok=True)
        kernel, ramdisk = prepare(self.checkout)
        with self._shares() as sockets:
            command = self._qemu(kernel, ramdisk, phase, sockets)
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        try:
            return int(status.read_text().strip() or "0")
        except (FileNotFoundError, ValueError):
            serial = (self.directory / "serial.log").read_text(errors="replace")
            raise RuntimeError(
                f"the virtual machine gave no status within {timeout:g} s:\n{serial[-4000:]}"
            ) from None

    @contextlib.contextmanager
    def _shares(self) -> Iterator[dict[str, Path]]:
        """The host's root, read-only in effect, and the directory for results."""
        program = next((p for p in VIRTIOFSD if Path(p).exists()), None)
        if program is None:
            raise FileNotFoundError("no virtiofsd: apt-get install qemu-system-x86 virtiofsd")
        with tempfile.TemporaryDirectory(prefix="mptvm") as directory, contextlib.ExitStack() as stack:
            sockets = {}
            for name, source, cache in (("host", Path("/"), "always"), ("out", self.out, "auto")):
                sockets[name] = Path(directory) / name
                log = stack.enter_context((self.directory / f"virtiofsd-{name}.log").open("wb"))
                server = subprocess.Popen(
                    _virtiofsd(program, sockets[name], source, cache), stderr=log, stdout=log
                )
                stack.callback(_end, server)
                deadline = time.monotonic() + 10
                while not sockets[name].exists() and time.monotonic() < deadline:
                    time.sleep(0.02)
            yield sockets

    def _qemu(
        self, kernel: initramfs.Kernel, ramdisk: Path, phase: str, sockets: dict[str, Path]
    ) -> list[str]:
        append = (
            "console=ttyS0 quiet panic=-1 systemd.unit=minipod-vm.target systemd.unified_cgroup_hierarchy=1 "
            # The kernel finds that emulated processors' counters disagree, and would read a slow device for the time;
            # and what guards against neighbours of another machine only costs here.
            "tsc=reliable clocksource=tsc mitigations=off audit=0 "
            "systemd.show_status=0 systemd.mask=systemd-tmpfiles-setup.service systemd.mask=serial-getty@ttyS0.service "
            f"minipod.checkout={self.checkout} minipod.phase={phase} minipod.out={self.out}"
        )
        # Emulation keeps what it has translated: a guest full of interpreters needs more room for that.
        accelerator = "kvm" if kvm_works(kernel, ramdisk) else "tcg,tb-size=1024"
        memory = f"memory-backend-memfd,id=memory,size={self.memory}M,share=on"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-machine", "q35,memory-backend=memory", "-accel", accelerator, "-cpu", "max"]
        command += ["-smp", str(self.cpus), "-m", f"{self.memory}M", "-object", memory]
        command += ["-kernel", str(kernel.image), "-initrd", str(ramdisk), "-append", append]
        for name, path in sockets.items():
            command += ["-chardev", f"socket,id={name},path={path}"]
            command += ["-device", f"vhost-user-fs-pci,chardev={name},tag={name}"]
        command += ["-drive", f"file={self.disk},format=raw,if=virtio"]
        command += ["-device", "virtio-rng-pci"]
        return [*command, "-serial", f"file:{self.directory / 'serial.log'}"]


def prepare(checkout: Path) -> tuple[initramfs.Kernel, Path]:
    """The kernel and the ramdisk to boot, and the answer to whether KVM does; made once, then taken from the cache."""
    kernel = initramfs.Kernel.newest()
    ramdisk = initramfs.build(kernel, checkout / ".venv" / "vm")
    kvm_works(kernel, ramdisk)
    return kernel, ramdisk


def kvm_works(kernel: initramfs.Kernel, ramdisk: Path) -> bool:
    """Whether KVM boots this kernel: the device alone says nothing (nested virtualisation may be half there).

    Trying takes seconds where it does not, so the answer is kept beside the ramdisk for this boot of the host.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = ramdisk.with_suffix(f".kvm-{boot}")
    if not answer.exists():
        answer.write_text(str(_boots(kernel, ramdisk)))
    return answer.read_text() == str(True)


def _boots(kernel: initramfs.Kernel, ramdisk: Path) -> bool:
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-machine", "q35,accel=kvm", "-cpu", "max", "-m", "512M"]
    command += ["-kernel", str(kernel.image), "-initrd", str(ramdisk)]
    command += ["-append", f"console=ttyS0 quiet panic=-1 minipod.phase={PROBE}", "-serial", "stdio"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return PROBE.encode() in done.stdout


def _virtiofsd(program: str, socket: Path, source: Path, cache: str) -> list[str]:
    if program == VIRTIOFSD[0]:  # QEMU's own, in C (Debian 12)
        options = f"source={source},sandbox=chroot,cache={cache},xattr,log_level=err"
        return [program, "-f", f"--socket-path={socket}", "-o", options]
    return [
        program,
        f"--socket-path={socket}",
        f"--shared-dir={source}",
        f"--cache={cache}",
        "--sandbox=chroot",
        "--xattr",
    ]


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def needs() -> list[str]:
    """What this host lacks to run the machine."""
    wanted = ("qemu-system-x86_64", "cpio", "mkfs.ext4", "modprobe")
    return [program for program in wanted if shutil.which(program) is None]
