"""Ray Data as the one who does a refresh's shards: actors that open the recipe once and then take shard after shard.

Where `RAY_ADDRESS` names a cluster, its machines do the work; they must see the artifacts and the workspace under the
same paths (a shared volume). Otherwise Ray is started on this machine, on loopback, and stopped afterwards. What
travels is small: the recipe once to each actor, lists of users to it and a number back. Rows go from the actor to their
file.
"""

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong comes back as an exception

import ray
import ray.data
from ray.exceptions import RayError

from reaseq.behavior.refresh import Recipe, Shard, Worker
from reaseq.errors import ReaSeqError
from reaseq.platform.errors import ScaleOutError

_STORE = 256 << 20  # bytes of Ray's object store on this machine: only small things travel
_REACHED_WITHIN = 10.0  # seconds to a cluster's port; Ray itself tries for minutes and then says little
_ADDRESS = re.compile(r"(?:ray://)?\[?(?P<host>[^\[\]/]+?)\]?:(?P<port>\d+)")


@dataclass(frozen=True)
class RayShards:
    """Gets shards inferred by `workers` actors; a `RunShards` of `reaseq.behavior.refresh`."""

    workers: int

    def __call__(self, recipe: Recipe, shards: Sequence[Shard]) -> Iterator[int]:
        """The number of each shard that is done, as it is done.

        Raises:
            ScaleOutError: Ray can't be started or reached, an actor can't open the recipe, or actors died.
        """
        check_reachable(os.environ.get("RAY_ADDRESS", ""))
        workers, threads = min(self.workers, len(shards)), recipe.config.threads
        rows = [{"shard": n, "users": list(each.users), "path": str(each.path)} for n, each in enumerate(shards)]
        try:
            with _connected(cpus=workers * threads):
                done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
                    Actor,  # type: ignore[arg-type]  # Ray takes a class of callables, too
                    fn_constructor_args=(recipe,),
                    compute=ray.data.ActorPoolStrategy(size=workers),
                    num_cpus=threads,
                    num_gpus=1 if recipe.config.device == "cuda" else None,
                )
                yield from map(shard_done, done.iter_rows())
        except (RayError, ConnectionError, RuntimeError) as error:
            reason = str(error).strip().splitlines()
            raise ScaleOutError(
                f"Ray could not do the work: {type(error).__name__}: {reason[-1] if reason else 'no reason given'}. "
                "Finished shards are kept: start the same again to go on, with fewer --workers if memory was short, or "
                "without --ray."
            ) from error


class Actor:
    """Holds one worker. An error of ours travels back as text, since Ray would wrap it in pages of its own."""

    def __init__(self, recipe: Recipe):
        self._recipe = recipe
        self._worker: Worker | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._worker is None:
                self._worker = Worker(self._recipe)
            self._worker.infer(Shard(tuple(row["users"]), Path(row["path"])))
        except ReaSeqError as error:
            return {"shard": row["shard"], "error": str(error)}
        return {"shard": row["shard"], "error": ""}


def shard_done(answer: dict[str, Any]) -> int:
    """The shard's number, out of an actor's answer.

    Raises:
        ScaleOutError: the actor says that it could not do it.
    """
    if answer["error"]:
        raise ScaleOutError(f"an actor of Ray could not do its work: {answer['error']}")
    return int(answer["shard"])


def check_reachable(address: str) -> None:
    """Knock at a cluster's port; an address without one ("auto", "local", none) is left to Ray.

    Raises:
        ScaleOutError: nothing answers there.
    """
    named = _ADDRESS.fullmatch(address)
    if not named:
        return
    try:
        socket.create_connection((named["host"], int(named["port"])), _REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise ScaleOutError(
            f"RAY_ADDRESS={address}: no cluster answers there ({error}). Start it or correct the address; without "
            "RAY_ADDRESS, Ray is started on this machine."
        ) from None


@contextmanager
def _connected(cpus: int) -> Iterator[None]:
    """Ray, connected: a session that is there already is used and left as it is."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")  # Ray's, of Ray's own settings
    ray.data.DataContext.get_current().enable_progress_bars = False  # the command line shows its own
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=_STORE,
            _node_ip_address="127.0.0.1",
            **quiet,
        )
    try:
        yield
    finally:
        ray.shutdown()
