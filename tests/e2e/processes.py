"""Commands and peers as processes, as users run them."""

import ctypes
import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bftcluster_cli.main import main

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Peer:
    """One peer: a directory, two ports, and a process while it runs."""

    index: int
    directory: Path
    listen_port: int
    api_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def log(self) -> str:
        path = self.directory / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *, file_size_max_bytes: int = 0) -> None:
        """Start the process; ``file_size_max_bytes`` makes its disk full beyond that."""
        assert self.process is None, "it does not run"

        def before() -> None:
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if file_size_max_bytes:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(
                    resource.RLIMIT_FSIZE, (file_size_max_bytes, resource.RLIM_INFINITY)
                )

        with (self.directory / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bftcluster_cli", "peer", "run", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                preexec_fn=before,  # noqa: PLW1509 - it calls the kernel only
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None, "it runs"
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> float:
        """Ask it to stop; return after how many seconds it had."""
        assert self.process is not None, "it runs"
        begin = time.monotonic()
        self.process.terminate()
        code = self.process.wait(30)
        taken_s = time.monotonic() - begin
        self.process = None
        assert code == 0, f"ended with {code}:\n{self.log[-2000:]}"
        return taken_s

    def wait(self, timeout_s: float = 30) -> int:
        """Return the exit code of a process that ends by itself."""
        assert self.process is not None, "it was started"
        code = self.process.wait(timeout_s)
        self.process = None
        return code

    def get(self, path: str) -> Any:
        response = httpx.get(self.url + path, timeout=20, trust_env=False)
        response.raise_for_status()
        return response.json()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("/status")
        return status

    def executed(self) -> int:
        return int(self.status()["last_executed"])

    def pinned(self) -> set[str]:
        """Return the CIDs of its pinset."""
        response = httpx.get(self.url + "/allocations", timeout=60, trust_env=False)
        response.raise_for_status()
        return {json.loads(line)["cid"] for line in response.text.splitlines() if line}


def command(*words: str) -> list[dict[str, Any]]:
    """Run a command that must succeed, in this process; return its JSON."""
    code, out, err = tried(*words, "--json")
    assert code == 0, f"`bftcluster {' '.join(words)}` ended with {code}: {err}"
    return [json.loads(line) for line in out.splitlines()]


def tried(*words: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def run_peer(directory: Path, *, timeout_s: float = 30) -> tuple[int, str]:
    """Run a peer that should end by itself; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "bftcluster_cli", "peer", "run", str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(),
        check=False,
    )
    return done.returncode, done.stderr


def environment() -> dict[str, str]:
    """Return an environment in which a process finds the code under test, as this one does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BFTCLUSTER_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def pause(seconds: float) -> None:
    """Wait between two looks at a process that cannot call back."""
    threading.Event().wait(seconds)
