"""How the kernel command line is set on this machine: by what boots it. Pure.

The files are those of the boot loaders' own documentation: GRUB's info pages, kernel-install(8), grubby(8),
https://www.raspberrypi.com/documentation/computers/configuration.html (cmdline.txt),
https://learn.microsoft.com/windows/wsl/wsl-config (.wslconfig).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PI_FILES = ("/boot/firmware/current/cmdline.txt", "/boot/firmware/cmdline.txt", "/boot/cmdline.txt")
GRUB_FILE = "/etc/default/grub"
KERNEL_INSTALL_FILE = "/etc/kernel/cmdline"
ARMBIAN_FILE = "/boot/armbianEnv.txt"
ALPINE_FILE = "/etc/update-extlinux.conf"
EXTLINUX_FILE = "/boot/extlinux/extlinux.conf"
FILES = (*PI_FILES, GRUB_FILE, KERNEL_INSTALL_FILE, ARMBIAN_FILE, ALPINE_FILE, EXTLINUX_FILE)
"""Files that tell which boot loader there is."""

PROGRAMS = ("rpm-ostree", "grubby", "update-grub", "grub2-mkconfig", "grub-mkconfig", "update-extlinux")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What tells how a machine boots. `files` and `programs`: those of FILES and PROGRAMS that are there."""

    cmdline: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    model: str = ""
    """Of the device tree: "Raspberry Pi 4 Model B Rev 1.4"; "" where there is none."""
    container: str = ""
    """What kind of container this is in, as systemd-detect-virt(1) names it: "docker", "lxc"; "" for none."""
    wsl: bool = False

    @property
    def raspberry_pi(self) -> bool:
        return self.model.startswith("Raspberry Pi")


def change(boot: Boot, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> str:
    """A sentence: which parameters to change, and how on this machine. What is as it should be is left out."""
    add = [word for word in add if word not in boot.cmdline]
    remove = [word for word in remove if word in boot.cmdline]
    what = " and ".join(
        f"{verb} {' '.join(words)} {to} the kernel command line"
        for verb, words, to in (("add", add, "to"), ("remove", remove, "from"))
        if words
    )
    if not what:
        return "the kernel command line is right already: reboot"
    return f"{what}: {_way(boot, add, remove)}"


def _way(boot: Boot, add: Sequence[str], remove: Sequence[str]) -> str:
    pi_file = next((name for name in PI_FILES if name in boot.files), "")
    if boot.container:
        return f"on the host of this {boot.container} container, whose kernel this is"
    if boot.wsl:
        return _wsl(add)
    if boot.raspberry_pi and pi_file:
        return f"edit the one line of {pi_file} (no line break), then reboot"
    if "rpm-ostree" in boot.programs:
        return f"{_rpm_ostree(add, remove)}, then reboot"
    if "grubby" in boot.programs:
        return f"{_grubby(add, remove)}, then reboot"
    if GRUB_FILE in boot.files:
        return f"edit GRUB_CMDLINE_LINUX in {GRUB_FILE}, run {_grub_program(boot)}, reboot"
    if ARMBIAN_FILE in boot.files:
        return f"edit extraargs= in {ARMBIAN_FILE}, then reboot"
    if ALPINE_FILE in boot.files:
        return f"edit default_kernel_opts in {ALPINE_FILE}, run update-extlinux, reboot"
    if KERNEL_INSTALL_FILE in boot.files:
        return f"edit the line of {KERNEL_INSTALL_FILE} (systemd-boot), run kernel-install add-all, reboot"
    if EXTLINUX_FILE in boot.files:
        return f"edit the append lines of {EXTLINUX_FILE}, then reboot"
    return "no boot loader's file is here, so it comes from what starts this machine (a hypervisor, a network boot)"


def _wsl(add: Sequence[str]) -> str:
    line = f"kernelCommandLine = {' '.join(add)}"
    return rf"in %UserProfile%\.wslconfig on Windows, section [wsl2], {line}; then wsl --shutdown"


def _rpm_ostree(add: Sequence[str], remove: Sequence[str]) -> str:
    plus, minus = (f"--append-if-missing={w}" for w in add), (f"--delete-if-present={w}" for w in remove)
    return " ".join(["rpm-ostree kargs", *plus, *minus])


def _grubby(add: Sequence[str], remove: Sequence[str]) -> str:
    words = ["grubby --update-kernel=ALL"]
    if add:
        words.append(f'--args="{" ".join(add)}"')
    if remove:
        words.append(f'--remove-args="{" ".join(remove)}"')
    return " ".join(words)


def _grub_program(boot: Boot) -> str:
    if "update-grub" in boot.programs:
        return "update-grub"
    if "grub2-mkconfig" in boot.programs:
        return "grub2-mkconfig -o /boot/grub2/grub.cfg"
    return "grub-mkconfig -o /boot/grub/grub.cfg"
