"""Several processes that work on one thing, on one machine or many: by `jax.distributed`, with no engine of our own."""

import atexit
import itertools
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
from jax._src import distributed  # jax.distributed itself has no meeting that needs no devices

from toydiff.base.checks import InputError, count, shown

SECONDS_TO_JOIN = 300.0
HEARTBEAT_SECONDS = 20
"""After so long without a sign of life JAX takes a process for dead and ends the others."""
SHUTDOWN_SECONDS = 60
"""A process that leaves early waits for so long for the others; then JAX ends them."""
SECONDS_BETWEEN_LOOKS = 0.2
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MOST_PROCESSES = 100_000

_teams = itertools.count()


def join(
    coordinator: str | None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    seconds: float = SECONDS_TO_JOIN,
) -> None:
    """Become one of several processes; wait until all of them are there. To be called before JAX computes anything.

    Args:
        coordinator: HOST:PORT at which process 0 listens, the same for all; "auto" where JAX finds out all three by
            itself, as under SLURM, Open MPI and on a TPU slice; None for a process alone, which joins nobody.
        num_processes: how many there are.
        process_id: which of them this is, from 0.
        seconds: to wait for the others.

    Raises:
        InputError: one of the three without the others, an address or number that cannot be, or not all processes
            came in time. In the last case this process can only end: JAX takes no half of a start back.
    """
    if coordinator is None:
        if num_processes is not None or process_id is not None:
            raise InputError("num-processes and process-id need coordinator too, HOST:PORT of process 0")
        return
    options: dict[str, Any] = {}
    if coordinator != "auto":
        options = _options(coordinator, num_processes, process_id)
    elif num_processes is not None or process_id is not None:
        raise InputError("coordinator is auto: leave num-processes and process-id out, or give HOST:PORT of process 0")
    jax.config.update("jax_enable_preemption_service", False)  # it would make SIGTERM do nothing
    jax.config.update("jax_cpu_collectives_implementation", None)  # nothing is computed across processes
    _initialize(options, coordinator, seconds)
    jax.local_devices()  # now, for here too JAX waits until all have come: one that fails before would be waited for


def _options(coordinator: str, num_processes: int | None, process_id: int | None) -> dict[str, Any]:
    """The arguments of `jax.distributed.initialize`, checked."""
    if num_processes is None or process_id is None:
        raise InputError("coordinator, num-processes and process-id go together; give all three")
    address = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})", str(coordinator))
    if not address or not 0 < int(address[2]) < 1 << 16:
        raise InputError(f"coordinator is {shown(coordinator)}; it must be HOST:PORT, as in 10.0.0.1:12345, or auto")
    total = count("num-processes", num_processes, 1, MOST_PROCESSES)
    index = count("process-id", process_id, 0, total - 1)
    local = address[1] in LOOPBACK
    if index == 0:
        _check_free(address[1] if local else "", int(address[2]))
    return {
        "coordinator_address": coordinator,
        "num_processes": total,
        "process_id": index,
        "coordinator_bind_address": coordinator if local else None,  # JAX's default lets everybody in
        "cluster_detection_method": "deactivate",  # under SLURM it would take one device of each process only
    }


def _check_free(host: str, port: int) -> None:
    """See that process 0 can listen there: JAX would crash."""
    try:
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        socket.create_server((host.strip("[]"), port), family=family).close()
    except OSError as error:
        where = f"{host}:{port}" if host else f"port {port}"
        raise InputError(f"cannot listen at {where}: {os.strerror(error.errno or 0)}; choose another port") from None


def _initialize(options: dict[str, Any], coordinator: str, seconds: float) -> None:
    """`jax.distributed.initialize` on a thread, for JAX would sit out its time deaf to Ctrl-C, and then abort."""
    failures: list[Exception] = []

    def start() -> None:
        try:
            jax.distributed.initialize(
                **options,
                initialization_timeout=int(2 * seconds) + 60,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=SHUTDOWN_SECONDS,
            )
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=start, name="toydiff-join", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    except KeyboardInterrupt:
        atexit.register(os._exit, 128 + signal.SIGINT)
        raise
    if thread.is_alive():
        atexit.register(os._exit, 2)  # before JAX's own end, which would wait for processes that never came
        raise InputError(f"not all processes came to {coordinator} within {seconds:g} s; are all of them started?")
    if failures:
        hint = "; if this is no SLURM, Open MPI or TPU slice, give HOST:PORT" if coordinator == "auto" else ""
        raise InputError(f"cannot join the other processes, coordinator {coordinator}: {failures[0]}{hint}")


def is_first() -> bool:
    """Whether this process is the one that speaks for all: the first of those that joined, or alone."""
    return not jax.distributed.is_initialized() or distributed.global_state.process_id == 0


class Team:
    """The processes that work on one thing: all that joined, or this one alone.

    The processes make their teams in one order, and each calls `meet` with the same words in the same order.
    """

    def __init__(self) -> None:
        self._client = distributed.global_state.client if jax.distributed.is_initialized() else None
        self._name = f"toydiff/{next(_teams)}"
        self.index = distributed.global_state.process_id if self._client else 0
        self.size = distributed.global_state.num_processes if self._client else 1

    def meet(self, place: str, note: str = "", *, meanwhile: Callable[[], object] = lambda: None) -> set[str]:
        """Wait until all are here; the different notes that they brought. What is done `meanwhile` is done often."""
        if self._client is None:
            return {note}
        folder = f"{self._name}/{place}/"
        self._client.key_value_set(f"{folder}{self.index}", f"={note}")  # not empty, even without a note
        while len(here := self._client.key_value_dir_get(folder)) < self.size:
            meanwhile()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return {value[1:] for _, value in here}

    def stop(self) -> None:
        """Ask all to stop."""
        if self._client is not None:
            self._client.key_value_set(f"{self._name}/stop/now", "=", allow_overwrite=True)

    def stopping(self, interrupted: Callable[[], bool]) -> bool:
        """Whether to stop: this process is interrupted, which it tells the others, or one of them asks for it."""
        if interrupted():
            self.stop()
            return True
        return self._client is not None and bool(self._client.key_value_dir_get(f"{self._name}/stop/"))
