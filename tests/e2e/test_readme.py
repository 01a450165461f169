"""The README's quick start, run as it stands, but for its ports and its questions."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bftcluster_cli.demo.ports import free_ports

ROOT = Path(__file__).parents[2]
RUN_S = 120
PORTS = [f"{base}{n}" for base in ("910", "920") for n in (1, 2, 3, 4)]
"""Those that the README names."""


class Shell:
    """Runs the README's lines in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        bin_directory = Path(sys.executable).parent
        self.environment = os.environ | {
            "PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(directory / "config"),
        }
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))

    def run(self, script: str) -> str:
        script = re.sub(r"(910|920)\$n", r"$(eval echo \\$p\1$n)", script)
        for name, port in self.ports.items():
            script = re.sub(rf"(?<=:){name}\b", str(port), script)
        variables = "".join(f"p{name}={port}\n" for name, port in self.ports.items())
        ran = subprocess.run(
            ["bash", "-eu", "-c", variables + script],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


def quick_start() -> tuple[str, list[str]]:
    """Return the script that starts the cluster, and the commands that follow."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## By hand")[2]
    start, commands, *_ = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return start, [line.partition("  #")[0].rstrip() for line in commands.splitlines()]


@contextmanager
def started(shell: Shell, script: str) -> Iterator[None]:
    """Run the script that leaves peers behind, and stop them afterwards."""
    pids = shell.directory / "try" / "pids"
    script = re.sub(
        r"(peer run .*) &$", r"\1 > /dev/null & echo $! >> pids", script, flags=re.MULTILINE
    )
    try:
        shell.run(script)
        yield
    finally:
        for pid in pids.read_text().split():
            os.kill(int(pid), signal.SIGTERM)


LINKED = "until bftcluster peer status 2>&1 | grep -q '3 of 3 connected'; do sleep 0.2; done"
"""The README's reader looks at the status until the peers have found one another."""


@pytest.mark.slow
def test_the_quick_start_ends_with_the_content_in_hand(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    start, commands = quick_start()

    with started(shell, start):
        shell.directory = tmp_path / "try"
        export, digest, cid, output = "", "DIGEST", "CID", ""
        for line in commands:
            if line.startswith("export"):
                export = line
                shell.run(f"{export}\n{LINKED}")
                continue
            command = line.replace("DIGEST", digest).replace("CID", cid)
            if re.match(r"bftcluster (add|pin approve)", command):
                command += " --yes"
            output += shell.run(f"{export}\n{command}")
            if command == "bftcluster pin pending":
                digest, _, cid = output.splitlines()[-1].split()[:3]

    assert "1 of 2 approved" in output
    assert "replicated 3/3" in output
    assert (shell.directory / "back" / "hello.txt").read_text() == "kept by many\n"
