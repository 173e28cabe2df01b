"""Sizes of workers that EMR Serverless has, and the one that an executor's settings ask for.

Source: the service's user guide, "Understanding application behavior", Supported worker configurations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# vCPUs -> memory in GB, overhead included. Storage is 20 to 200 GB a worker, the first 20 of it free.
MEMORY_GB: Mapping[int, Sequence[int]] = {
    1: range(2, 9),
    2: range(4, 17),
    4: range(8, 31),
    8: range(16, 61, 4),
    16: range(32, 121, 8),
    32: (60, 120, 244),
}
OVERHEAD_SHARE, OVERHEAD_MIB = 0.1, 384  # of the heap, and at least: what is added for everything outside of it when nothing is said
CORES, MEMORY = "4", "14g"  # of an executor of which nothing is said

_SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
_MIB = {"k": 1 / 1024, "": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


class NoSuchWorker(ValueError):
    """EMR Serverless has no worker of that size; the message names the setting and the nearest that there are."""


class Worker(NamedTuple):
    """What is billed for as long as an executor lives."""

    vcpu: int
    memory_gb: int


def worker_of(conf: Mapping[str, str]) -> Worker:
    """The smallest worker that holds an executor with these settings of Spark.

    Memory below a size's least is rounded up to it: the job that Torus starts asks for 2 cores and 2 GB, where the least is 4.

    Raises:
        NoSuchWorker: no worker has so many cores, or none of them so much memory, or a value cannot be read.
    """
    cores, memory = conf.get("spark.executor.cores", CORES), conf.get("spark.executor.memory", MEMORY)
    if not cores.isdigit() or int(cores) not in MEMORY_GB:
        raise NoSuchWorker(f"spark.executor.cores={cores}: EMR Serverless has workers of {_listed(MEMORY_GB)} vCPUs{_nearest(cores)}")
    heap = _mib("spark.executor.memory", memory)
    wanted = (heap + _overhead(conf, heap)) / 1024
    sizes = MEMORY_GB[int(cores)]
    found = next((size for size in sizes if size >= wanted), None)
    if found is None:
        larger = next((f", or {vcpu} cores" for vcpu, more in MEMORY_GB.items() if more[-1] >= wanted), "")
        raise NoSuchWorker(
            f"spark.executor.memory={memory}: {wanted:.1f} GB with its overhead, and a worker of {cores} vCPUs has {sizes[0]} to {sizes[-1]} GB; "
            f"the nearest that fits is {_heap_that_fits(conf, heap, sizes[-1])}m{larger}"
        )
    return Worker(int(cores), found)


def _overhead(conf: Mapping[str, str], heap_mib: float) -> float:
    """MiB outside the heap."""
    given = conf.get("spark.executor.memoryOverhead")
    if given:
        return _mib("spark.executor.memoryOverhead", given)
    return max(OVERHEAD_MIB, heap_mib * _share(conf))


def _heap_that_fits(conf: Mapping[str, str], heap_mib: float, most_gb: int) -> int:
    """MiB of the largest heap in a worker of that memory, at least 1."""
    most = most_gb * 1024
    if conf.get("spark.executor.memoryOverhead"):
        return max(1, int(most - _overhead(conf, heap_mib)))
    return int(min(most / (1 + _share(conf)), most - OVERHEAD_MIB))


def _share(conf: Mapping[str, str]) -> float:
    text = conf.get("spark.executor.memoryOverheadFactor", str(OVERHEAD_SHARE))
    try:
        return float(text)
    except ValueError:
        raise NoSuchWorker(f"spark.executor.memoryOverheadFactor: expected a number such as 0.1, got {text!r}") from None


def _nearest(cores: str) -> str:
    if not cores.isdigit():
        return ""
    near = sorted(sorted(MEMORY_GB, key=lambda vcpu: abs(vcpu - int(cores)))[:2])
    return f"; the nearest are {near[0]} and {near[1]}"


def _listed(sizes: Mapping[int, object]) -> str:
    return ", ".join(map(str, sizes))


def _mib(name: str, text: str) -> float:
    """MiB of a size as Spark spells it (`1536m`, `2g`; a bare number is MiB)."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise NoSuchWorker(f"{name}: expected a size such as 2g or 1536m, got {text!r}")
    return int(found[1]) * _MIB[found[2].lower()]
