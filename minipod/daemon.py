"""The composition root: one process made of storage, API server, scheduler, manifests and kubelet.

Everything is started in the order in which it is needed and stopped in reverse, by one exit stack. Signals only set
an event. Pods are not the daemon's children: SIGTERM leaves them running, and so does kill -9. Only systemd may want
them to end with the daemon: when the machine is shut down, or as podsOnStop says.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar

from minipod import __version__
from minipod.api.errors import StatusError
from minipod.apiserver.inprocess import LocalRequests
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.registry.strategies import STRATEGIES
from minipod.apiserver.server import ApiServer, TcpListener, UnixListener
from minipod.apiserver.users import client_certificate
from minipod.client.inprocess import InProcessClient
from minipod.config import Config
from minipod.images.store import ImageStore
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.eviction.types import EvictionSettings, eviction_settings
from minipod.kubelet.gc.types import GcSettings, gc_settings
from minipod.kubelet.host_facts import read_host_facts
from minipod.kubelet.kubelet import Kubelet
from minipod.kubelet.limit_settings import limit_policy
from minipod.kubelet.node_status import node_labels
from minipod.kubelet.settings import CgroupEnforcement, NodeSettings
from minipod.kubelet.shutdown.manager import ShutdownManager
from minipod.kubelet.shutdown.order import shutdown_groups
from minipod.linux import oom_score, rlimit
from minipod.linux.addresses import machine_addresses
from minipod.linux.cgroup2 import cgroup
from minipod.logging_setup import set_up_logging
from minipod.manifests import ManifestDirectory
from minipod.network.pod_network import NetworkConfig, NetworkError, PodNetwork
from minipod.pki.serving import (
    PKI_DIRECTORY,
    CertificateError,
    ServingCertificate,
    is_any,
    serving_names,
)
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.service import RuntimeService
from minipod.scheduler import Scheduler
from minipod.storage.errors import StorageError
from minipod.storage.retention import EVENT_RETENTION
from minipod.storage.store import Store
from minipod.systemd.service import Service
from minipod.systemd.stopping import PodsFate

log = logging.getLogger(__name__)

T = TypeVar("T")


OOM_SCORE = -999
"""The kubelet's own (KubeletConfiguration oomScoreAdj): the daemon is killed after everything that can be instead."""


class StartupError(Exception):
    """The daemon cannot run. The message says why and what to do."""


STARTUP_ERRORS = (
    StartupError,
    CertificateError,
    StorageError,
    NetworkError,
    RuntimeServiceError,
    StatusError,
    OSError,
)
"""What keeps a daemon from running, in words for its user."""


def main(config: Config, *, end_pods: bool = False) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status. `end_pods`: only end the pods that run."""
    set_up_logging(config.log_format, config.log_level)
    if os.geteuid() != 0:
        print("minipod daemon: needs root: sudo minipod daemon", file=sys.stderr)
        return 1
    oom_score.set_own(OOM_SCORE)
    try:
        asyncio.run(_end_pods(config) if end_pods else _serve(config))
    except STARTUP_ERRORS as error:
        print(f"minipod daemon: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config) -> None:
    service = Service()
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        _make_directories(config)
        _lock(config, stack)
        stack.push_async_callback(service.close)
        service.starting()
        node = Node(config, stop)
        await node.start(stack)
        await node.serve(stack, service)
        _settle_memory()
        service.ready(f"{__version__}; serves at {config.socket}")
        log.info("minipod %s serves at %s", __version__, config.socket, extra={"node": config.node_name})
        await stop.wait()
        await node.end_pods(service, await service.pods_fate(config.pods_on_stop))


async def _end_pods(config: Config) -> None:
    """What is left to do for a service whose daemon was stopped before its pods are."""
    service = Service()
    fate = await service.pods_fate(config.pods_on_stop)
    async with AsyncExitStack() as stack:
        _make_directories(config)
        _lock(config, stack)
        node = Node(config, _stop_on_signals())
        await node.start(stack)
        await node.end_pods(service, PodsFate.STOP if fate is PodsFate.KEEP else fate)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


class Node:
    """All parts of one node, wired."""

    def __init__(self, config: Config, stop: asyncio.Event) -> None:
        self._config = config
        self._stop = stop
        self._store = Store(
            config.data_dir / "state.db",
            [s.resource for s in STRATEGIES],
            retention={"events": EVENT_RETENTION},
        )
        self._registry = Registry(self._store)
        self._client = InProcessClient(LocalRequests(self._registry))
        self._images = ImageStore(config.data_dir / "images")
        self._network = PodNetwork(
            NetworkConfig(
                bridge=config.bridge,
                pod_cidr=config.pod_cidr,
                nft_table=config.nft_table,
                state_dir=config.run_dir / "network",
            )
        )
        self._cgroup_root = cgroup.mount_point()
        self._runtime = RuntimeService(
            run_dir=config.run_dir,
            data_dir=config.data_dir,
            cgroup_root=self._cgroup_root,
            log_max_bytes=config.container_log_max_size,
            log_max_files=config.container_log_max_files,
            log_journal=config.container_log_journal,
            # Pods can make the daemon hold many connections (slow probes). They themselves get what it was given.
            open_files=rlimit.raise_open_files(),
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the node itself, and take over the pods that run; `stack` stops all parts in reverse."""
        await _part(stack, self._store.start, self._store.close)
        await _part(stack, self._registry.start, self._registry.stop)
        await _part(stack, self._images.start, self._images.stop)
        await _part(stack, self._network.start, self._network.stop)
        await _part(stack, self._runtime.start, self._runtime.stop)
        self._kubelet = Kubelet(
            settings=self._settings(),
            client=self._client,
            runtime=self._runtime,
            network=self._network,
            images=self._images,
        )
        await _part(stack, self._kubelet.start, self._kubelet.stop)

    async def serve(self, stack: AsyncExitStack, service: Service) -> None:
        """Answer the API, and do what it says."""
        config = self._config
        server = ApiServer(self._registry, {config.node_name: self._kubelet.connection})
        unix = UnixListener(config.socket, inherited=service.take_socket(config.socket))
        tcp = await self._tls_listeners(stack) if config.listen else []
        await _part(stack, lambda: server.start([unix, *tcp]), server.stop)
        server.ready = True
        self._run_beside(stack, "scheduler", Scheduler(self._client).run())
        self._run_beside(stack, "manifests", ManifestDirectory(config.manifest_dir, self._client).run())
        if service.managed:
            total, critical = config.shutdown_grace_period, config.shutdown_grace_period_critical_pods
            manager = ShutdownManager(self._kubelet, total=total, critical=critical)
            self._run_beside(stack, "shutdown", manager.run())

    async def end_pods(self, service: Service, fate: PodsFate) -> None:
        """Do with the pods what the end of the daemon means for them."""
        match fate:
            case PodsFate.KEEP:
                service.stopping("stopping; pods go on")
                log.info("stopping; pods go on")
            case PodsFate.STOP:
                service.stopping("ending the pods", within=self._kubelet.longest_grace())
                log.info("stopping, and the pods with it")
                await self._kubelet.shut_down_pods()
            case PodsFate.SHUT_DOWN:
                total = self._config.shutdown_grace_period
                groups = shutdown_groups(total, self._config.shutdown_grace_period_critical_pods)
                service.stopping("ending the pods: the machine is shutting down", within=total)
                log.info("the machine is shutting down, and the pods with it")
                await self._kubelet.shut_down_in_order(groups)

    async def _tls_listeners(self, stack: AsyncExitStack) -> list[TcpListener]:
        config = self._config
        certificate = ServingCertificate(config.data_dir / PKI_DIRECTORY, self._serving_names)
        await certificate.start()
        self._run_beside(stack, "certificate", certificate.run())
        return [
            TcpListener(host, port, authenticate=client_certificate, tls=certificate.context)
            for host, port in config.listen
        ]

    def _serving_names(self) -> tuple[str, ...]:
        """What the API is called at this moment: who listens on every address has all that the machine has."""
        config = self._config
        hosts = [endpoint.host for endpoint in config.listen]
        everywhere = machine_addresses() if any(map(is_any, hosts)) else ()
        return serving_names(
            [self._network.gateway, *hosts, *everywhere],
            node_name=config.node_name,
            node_ip=self._node_ip,
            cluster_domain=config.cluster_domain,
        )

    @property
    def _node_ip(self) -> str:
        return self._config.node_ip or _default_address() or self._network.gateway

    def _settings(self) -> NodeSettings:
        config = self._config
        host = read_host_facts(
            cgroup_root=self._cgroup_root, cgroup_parent=config.cgroup_parent, data_dir=config.data_dir
        )
        settings = NodeSettings(
            node_name=config.node_name,
            host_ip=self._node_ip,
            data_dir=config.data_dir,
            run_dir=config.run_dir,
            log_dir=config.log_dir,
            cgroup_root=self._cgroup_root,
            cgroup_parent=config.cgroup_parent,
            host=host,
            enforcement=CgroupEnforcement(config.cgroup_enforcement),
            pod_cidr=config.pod_cidr,
            max_pods=config.max_pods,
            pod_pids_limit=max(config.pod_pids_limit, 0),
            system_reserved=config.system_reserved,
            kube_reserved=config.kube_reserved,
            eviction=_checked(_eviction, config),
            gc=_checked(_garbage_collection, config),
            cluster_domain=config.cluster_domain,
            cluster_dns=config.cluster_dns,
            allowed_unsafe_sysctls=config.allowed_unsafe_sysctls,
            crash_loop=BackOffPolicy(
                initial=config.crash_loop_initial,
                maximum=config.crash_loop_maximum,
                reset=config.crash_loop_reset,
            ),
            post_start_timeout=config.post_start_timeout or None,
            labels=node_labels(host, config.node_name, dict(config.node_labels)),
        )
        return replace(settings, limits=_limits(config, settings))

    def _run_beside(self, stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        """A part that runs until it is cancelled; should it fail, the daemon ends and says so."""
        task = asyncio.create_task(work, name=name)

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                log.critical("%s failed", name, exc_info=error)
                self._stop.set()

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task.add_done_callback(done)
        stack.push_async_callback(cancel)


def _limits(config: Config, settings: NodeSettings) -> LimitPolicy:
    return limit_policy(
        settings,
        single_process_oom_kill=config.single_process_oom_kill,
        memory_qos=config.memory_qos,
        memory_throttling_factor=config.memory_throttling_factor,
        swap_behavior=config.swap_behavior,
        enforce_node_allocatable=config.enforce_node_allocatable,
    )


def _eviction(config: Config) -> EvictionSettings:
    return eviction_settings(
        hard=config.eviction_hard,
        soft=config.eviction_soft,
        soft_grace=config.eviction_soft_grace_period,
        minimum_reclaim=config.eviction_minimum_reclaim,
        max_pod_grace=config.eviction_max_pod_grace_period,
        transition_period=config.eviction_pressure_transition_period,
    )


def _garbage_collection(config: Config) -> GcSettings:
    return gc_settings(
        high_percent=config.image_gc_high_threshold_percent,
        low_percent=config.image_gc_low_threshold_percent,
        min_age=config.image_minimum_gc_age,
        max_age=config.image_maximum_gc_age,
        per_container=config.maximum_dead_containers_per_container,
        total=config.maximum_dead_containers,
        container_min_age=config.minimum_container_ttl,
    )


def _checked(make: Callable[[Config], T], config: Config) -> T:
    """Settings whose values have to fit each other."""
    try:
        return make(config)
    except ValueError as error:
        raise StartupError(str(error)) from error


async def _part(
    stack: AsyncExitStack, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
) -> None:
    stack.push_async_callback(stop)  # before the start, so that half a start is undone too
    await start()


def _make_directories(config: Config) -> None:
    """What the daemon keeps is root's alone; container logs may be read by log shippers."""
    for directory, mode in ((config.data_dir, 0o700), (config.run_dir, 0o700), (config.log_dir, 0o755)):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(mode)


def _lock(config: Config, stack: AsyncExitStack) -> None:
    """One daemon per directory: two would fight over pods, sockets and database."""
    for directory in (config.run_dir, config.data_dir):
        opened = stack.enter_context((directory / "lock").open("w"))
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(
                f"another daemon already uses {directory}: stop it (minipod down), or give this one "
                "its own --run-dir and --data-dir"
            ) from None


def _default_address() -> str:
    """The address packets to the world would leave from; "" without a default route. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, discard
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _settle_memory() -> None:
    """What start-up made lives as long as the daemon: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()
