"""Actors as processes of Ray (extra `ray`), on this machine or on a cluster that runs already."""

import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import types
from typing import Any

from npfl139 import DISTRIBUTION
from npfl139.checkpoints import RunError
from npfl139.config import Config
from npfl139.distributed.team import Team
from npfl139.distributed.work import Delivery, Job, Published, Worker

__all__ = ["RayEngine", "ray_team"]

# Ray reads these when it is imported: nothing is sent to its makers, and what its processes would print is not.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}
# Of a cluster of our own only this process and its children have the token, in no file.
OWN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def ray_team(module: types.ModuleType, environment_id: str, config: Config, actors: int, address: str | None = None) -> Team:
    """Return a team of actors under Ray.

    Raises:
        ImportError, ValueError: as `Team` and `RayEngine`.
    """
    return Team(actors, module, environment_id, config, lambda: RayEngine(actors, address))


class RayEngine:
    """Runs the actors of a `Team` under Ray; a cluster of our own is ended with it, another's goes on."""

    def __init__(self, actors: int, address: str | None = None):
        """Start Ray on this machine, with as many processors as there are actors, or join the cluster at an address.

        Args:
            actors: how many there will be.
            address: host:port of the cluster's head node, or "auto" for one that runs on this machine.

        Raises:
            ImportError: Ray is not installed.
            ValueError: nothing answers at the address, or Ray cannot be started or joined.
        """
        if address is not None:
            _expect_answer(address)
        if "ray" not in sys.modules:
            os.environ.update((QUIET if address else QUIET | OWN) | os.environ)
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            import ray
        except ImportError as error:
            raise ImportError(f"the engine ray needs Ray, which is not installed: pip install '{DISTRIBUTION}[ray]'") from error
        self.ray = ray
        self.folder: str | None = None  # of a cluster of our own
        self.actors: dict[int, Any] = {}
        self.asked: dict[Any, int] = {}  # answers that are awaited, and from which actor
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if address is None:
            self.folder = tempfile.mkdtemp(prefix="npfl139-ray-")  # a short path: it holds sockets
            options |= {
                "address": "local",
                "num_cpus": actors,
                "include_dashboard": False,
                "_temp_dir": self.folder,
                "object_store_memory": 200_000_000,
            }
        else:
            options |= {"address": address}
        try:
            ray.init(**options)
        except Exception as error:  # a TMPDIR too long for sockets, a machine too busy: Ray raises all sorts, some of no type of their own
            self.close()
            place = f"the Ray cluster at {address} cannot be joined" if address else "Ray cannot be started on this machine"
            raise ValueError(f"{place}: {str(error).splitlines()[0]}") from error
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < actors:
            self.close()
            raise ValueError(f"the Ray cluster at {address} has {processors} processors, too few for {actors} actors: ask for fewer")
        self.remote = ray.remote(max_restarts=0, num_cpus=1)(Worker)

    def start(self, number: int, job: Job) -> None:
        """Start a process; what one before it still owes is forgotten."""
        self.asked = {answer: other for answer, other in self.asked.items() if other != number}
        self.actors[number] = self.remote.remote(job)

    def publish(self, published: Published) -> Any:
        weights = {name: {key: tensor.cpu() for key, tensor in part.items()} for name, part in published.weights.items()}
        return self.ray.put(published._replace(weights=weights))

    def ask(self, number: int, published: Any, steps: int) -> None:
        self.asked[self.actors[number].collect.remote(published, steps)] = number

    def wait(self) -> tuple[int, Delivery | None]:
        (answer,), _ = self.ray.wait(list(self.asked))
        number = self.asked.pop(answer)
        try:
            return number, self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            raise RunError(f"an actor has failed: {type(error.cause).__name__}: {error.cause}") from error
        except self.ray.exceptions.RayActorError as error:
            if "creation task" in str(error):
                raise RunError(f"an actor cannot start: {str(error).strip().splitlines()[-1]}") from error
            return number, None
        except self.ray.exceptions.RayError as error:
            raise RunError(f"Ray has failed: {str(error).splitlines()[0]}; go on with --resume") from error

    def close(self) -> None:
        for actor in self.actors.values():
            with contextlib.suppress(Exception):  # it may be gone
                self.ray.kill(actor)
        self.actors.clear()
        self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _expect_answer(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise ValueError(f"the address of a Ray cluster is host:port, as in 10.0.0.1:6379, or auto; got {address!r}")
    try:
        socket.create_connection((host, int(port)), 3).close()
    except OSError as error:
        raise ValueError(f"nothing answers at {address} ({error.strerror or error}): start Ray there with ray start --head") from error
