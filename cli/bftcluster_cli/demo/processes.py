"""Peers as real processes, none of which outlives the demonstration."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bftcluster.errors import ClusterError

LOG_FILE: Final = "peer.log"
_LOG_LINES_SHOWN: Final = 15
_STOP_TIMEOUT_S: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PeerFailedError(ClusterError):
    """A peer's process does not do what it should.

    Attributes:
        log: The last lines of its log.
    """

    def __init__(self, message: str, peer: "PeerProcess") -> None:
        super().__init__(message, hint=f"the whole log is {peer.log_path} (kept with --keep)")
        self.log = peer.log_tail()


@dataclass(slots=True)
class PeerProcess:
    """One peer: a directory, two ports, and a process while it runs."""

    name: str
    directory: Path
    listen_port: int
    api_port: int
    process: subprocess.Popen[bytes] | None = None
    noun: str = "peer"
    """Of the command that runs it."""
    words: tuple[str, ...] = ()
    """The command that runs it, if it is none of ``NOUN run DIRECTORY``."""
    module: str = "bftcluster_cli"
    """What Python runs."""

    @property
    def api(self) -> str:
        """The URL of its HTTP API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def listen(self) -> str:
        """Where other peers reach it."""
        return f"/ip4/127.0.0.1/tcp/{self.listen_port}"

    @property
    def log_path(self) -> Path:
        """What it writes to stderr, all runs after one another."""
        return self.directory / LOG_FILE

    def start(self) -> None:
        """Start ``bftcluster peer run``, or its like, on the directory, as a user would.

        Whoever stops us meanwhile is heard when the process is known: otherwise it would live on.
        """
        assert self.process is None, "it does not run"
        words = self.words or (self.noun, "run", str(self.directory))
        with self.log_path.open("ab") as log, _undisturbed() as signals:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", self.module, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours; we stop the peers in order
                preexec_fn=partial(_begin, os.getpid(), signals),  # noqa: PLW1509 - no threads here
            )

    def kill(self) -> None:
        """Kill it without any chance to tidy up, as a power cut would."""
        assert self.process is not None, "it runs"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def check(self) -> None:
        """Return if it runs.

        Raises:
            PeerFailedError: It has ended by itself.
        """
        assert self.process is not None, "it was started"
        code = self.process.poll()
        if code is not None:
            self.process = None
            raise PeerFailedError(f"{self.name} ended by itself with code {code}", self)

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        with suppress(OSError):
            lines = self.log_path.read_text("utf-8", "replace").splitlines()
            return "\n".join(lines[-_LOG_LINES_SHOWN:])
        return ""


def stop_all(peers: Sequence[PeerProcess]) -> None:
    """Stop every process that runs: politely, then not."""
    running = [peer.process for peer in peers if peer.process is not None]
    for process in running:
        process.terminate()
    end_s = time.monotonic() + _STOP_TIMEOUT_S
    try:
        for process in running:
            process.wait(max(end_s - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
        for peer in peers:
            peer.process = None


def _environment() -> dict[str, str]:
    """Return this process's environment without our variables, and with its import path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BFTCLUSTER_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextmanager
def _undisturbed() -> Iterator[set[signal.Signals]]:
    """Take no signal that ends us; yield those that were blocked before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield {signal.Signals(each) for each in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int, blocked: set[signal.Signals]) -> None:
    die_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def die_with_parent(parent: int) -> None:
    """Have Linux end this process should the demonstration be killed outright; call before exec.

    The demonstration's own handler of SIGTERM goes first: a signal that it took between here and
    the exec would be forgotten with it, and the peer would live on.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it was killed before Linux knew
