"""Many independent runs on a few processors; the results come in the order of the questions."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_CHUNK = 8


def run_all(work: Callable[[A], B], questions: Iterable[A], *, workers: int = 0) -> Iterator[B]:
    """Yield ``work`` of each question, in order.

    Args:
        work: A function at the top of a module.
        questions: Small values that can be pickled.
        workers: Processes; 0 for one per processor, 1 for none but this one.
    """
    workers = workers or len(os.sched_getaffinity(0))
    if workers == 1:
        yield from map(work, questions)
        return
    with ProcessPoolExecutor(max_workers=workers) as pool:
        yield from pool.map(work, questions, chunksize=_CHUNK)
