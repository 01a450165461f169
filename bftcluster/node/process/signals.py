"""Turns the signals that ask a process to stop into one event."""

import signal
from typing import Any

import trio


async def watch_signals(
    stop: trio.Event,
    task_status: Any = trio.TASK_STATUS_IGNORED,  # noqa: ANN401 - stubs without TaskStatus
) -> None:
    """Set ``stop`` at the first SIGINT or SIGTERM; a second one kills as usual."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            stop.set()
            return
