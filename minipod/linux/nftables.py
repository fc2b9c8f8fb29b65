"""nftables by way of nft(8): rules as text, one call is one transaction.

The text grammar is nft's stable interface (its JSON cannot express maps of concatenations in 1.0.6). The kernel
applies a script wholly or not at all. Rules land in the network namespace of the calling thread. Starting nft costs
some 5 ms, so callers collect changes into one script.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""Names of tables, chains and maps that nft takes without quotes."""

SBIN = "/usr/sbin:/sbin"
TIMEOUT = 120.0


def apply(script: str) -> None:
    """Feed `script` to `nft -f -`.

    Raises FileNotFoundError when there is no nft, OSError(EINVAL) with nft's own words when the kernel or the
    grammar refuses the script (nothing of it has then been applied), TimeoutError after TIMEOUT seconds.
    """
    _nft("-f", "-", script=script)


def dropping_chains(hook: str) -> list[str]:
    """The base chains on a hook ("forward") that drop what none of their rules accepts, as "ip filter FORWARD".

    Those of iptables-nft count; iptables-legacy is invisible to nft. Raises as `apply` does.
    """
    found = json.loads(_nft("-j", "list", "chains"))["nftables"]
    chains = [entry["chain"] for entry in found if "chain" in entry]
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in chains
        if chain.get("hook") == hook and chain.get("policy") == "drop"
    ]


def _nft(*arguments: str, script: str = "") -> str:
    command, call = [_program(), *arguments], f"nft {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(errno.ETIMEDOUT, f"{call}: no answer within {TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise OSError(errno.EINVAL, f"{call}: {_complaint(done.stderr)}")
    return done.stdout


def _program() -> str:
    found = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "nft: no such program in PATH: install the nftables package")
    return found


def _complaint(stderr: str) -> str:
    """The first error nft printed and the rule it is about, on one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip(" ^~\t")]
    return ": ".join(lines[:2]) or "failed without a message"
