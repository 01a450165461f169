"""Structured logs on stderr, with a level per component."""

import io
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from bftcluster.visible import visible

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(*, level: str, levels: Mapping[str, str], format: str) -> None:  # noqa: A002
    """Set up logging for the whole process.

    Args:
        level: The level of every component that ``levels`` does not name.
        levels: Component to level.
        format: ``text`` or ``json``.
    """
    thresholds = {component: _LEVELS[name] for component, name in levels.items()}
    default = _LEVELS[level]

    def drop_quiet(
        _: Any,  # noqa: ANN401 - structlog's signature
        method: str,
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        if _LEVELS.get(method, 40) < thresholds.get(str(event.get("component", "")), default):
            raise structlog.DropEvent
        return event

    render: Any = structlog.processors.JSONRenderer()
    if format == "text":
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            drop_quiet,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _show_all,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min(default, *thresholds.values()))
        if thresholds
        else structlog.make_filtering_bound_logger(default),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),
        cache_logger_on_first_use=True,
    )
    # Libraries (py-libp2p, hypercorn) speak through the standard logging module.
    logging.basicConfig(
        stream=sys.stderr,
        level=max(default, logging.WARNING),
        format="%(asctime)s %(name)s: %(message)s",
    )
    logging.getLogger("libp2p").setLevel(thresholds.get("libp2p", logging.ERROR))


class _Stderr(io.StringIO):
    """Whatever stderr is when a line is written: loggers live longer than some of them."""

    def write(self, text: str) -> int:
        """Write to stderr."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush stderr."""
        sys.stderr.flush()


def _show_all(
    _: Any,  # noqa: ANN401 - structlog's signature
    __: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Make visible what others chose, and what errors quote of it: a log is read at terminals."""
    for key, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(map(visible, lines))
    return event


def log_for(component: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one component."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(component=component)
    return bound
