"""``bftcluster peer recovery-point|recover`` and ``cluster recover``: after too many lost disks.

See docs/recovery.md. The file that these commands make is a proposal file like any other: it is
signed with ``pin sign``, and brought together with ``pin merge``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bftcluster.errors import ConfigError, UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.commands.offline import (
    Output,
    offline_cluster,
    read_proposal,
    recovery_problem,
    valid_approvals,
    write_proposal,
)
from bftcluster_cli.descriptors import parse_descriptor
from bftcluster_cli.files import read_as, write_new
from bftcluster_cli.framework import settings_of, verb
from bftcluster_cli.output import emit, plural, say

if TYPE_CHECKING:
    from bftcluster.ids import PeerId
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster
    from bftcluster.node.process.config import Config
    from bftcluster.node.recovery import AppliedRecovery
    from bftcluster.pbft.epochs import EpochStart
    from bftcluster.sync.recovery_point import RecoveryPoint
    from bftcluster_cli.clusters import Cluster

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The peer's directory.")]


def register(peer_app: typer.Typer, cluster_app: typer.Typer) -> None:
    """Add the commands to the nouns ``peer`` and ``cluster``."""
    verb(peer_app, "recovery-point", "bftcluster peer recovery-point ./peer1 --output peer1.point")(
        recovery_point
    )
    verb(peer_app, "recover", "bftcluster peer recover ./peer1 all.recovery")(recover_peer)
    verb(
        cluster_app,
        "recover",
        "bftcluster cluster recover peer1.point peer2.point --peer peer5/peer.txt \\",
        "    --peer peer6/peer.txt --lost peer3 --lost peer4 --output our.recovery \\",
        "    --genesis genesis.cbor --key alice.key",
    )(recover_cluster)


def recovery_point(ctx: typer.Context, directory: Directory, *, output: Output) -> None:
    """Write what a stopped peer could be recovered from: its last certified state, and the proof.

    Changes nothing. The maintainers need this file of every peer whose disk is there.
    """
    from bftcluster.node.recovery import recovery_point as point_of

    point = point_of(_config(directory))
    write_new(output, point.to_bytes())
    emit(settings_of(ctx), _point_record(point) | {"file": str(output)}, _point_text(point))


def recover_cluster(
    ctx: typer.Context,
    points: Annotated[
        list[Path],
        typer.Argument(
            metavar="POINT...",
            help="What `bftcluster peer recovery-point` wrote on each peer that will vote on.",
        ),
    ],
    *,
    output: Output,
    peer: Annotated[
        list[str] | None,
        options.peers("A new peer that will vote, under a new key"),
    ] = None,
    lost: Annotated[
        list[str] | None,
        options.peers("One whose disk is lost: its key never votes again", "NAME|12D3…|FILE"),
    ] = None,
    valid_for: options.ValidFor = "14d",
    yes: options.Yes = False,
) -> None:
    """Write a recovery: from which certified state the cluster goes on, and who votes then.

    Only for a cluster that can order nothing any more. As many maintainers sign it as a pin
    needs; then `bftcluster peer recover` applies it to each peer. Needs no network.
    """
    settings = settings_of(ctx)
    cluster = offline_cluster(settings)
    operation = _operation(_proved(points, cluster), cluster, peer or [], lost or [])
    write_proposal(settings, cluster, operation, output, valid_for=valid_for, yes=yes)


def recover_peer(
    ctx: typer.Context,
    directory: Directory,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recovery, signed by enough.")],
    yes: options.Yes = False,
) -> None:
    """Apply a recovery to a stopped peer; doing so twice changes nothing.

    What the peer executed beyond the recovery's state is set aside, and ordered again once it runs.
    """
    from bftcluster.ledger.wire.requests import Submit
    from bftcluster.node.process.genesis_file import load_genesis
    from bftcluster.node.recovery import apply_recovery
    from bftcluster.signing.keys import Ed25519Verifier
    from bftcluster.signing.schemes import certify
    from bftcluster_cli.clusters import Cluster
    from bftcluster_cli.commands.offline import checked_proposal
    from bftcluster_cli.display.wording import confirm, proposal_text
    from bftcluster_cli.proposals import now_ms

    config = _config(directory)
    genesis = load_genesis(config.path(config.cluster.genesis))
    cluster = Cluster(genesis=genesis, policy=genesis.policy)
    content = read_proposal(file)
    proposal = checked_proposal(cluster, content)
    data, approvals = content.intent.to_bytes(), valid_approvals(cluster, content)
    certificate = certify(data, approvals, cluster.policy, Ed25519Verifier())
    say(f"{directory} is about to follow:\n\n{proposal_text(proposal, cluster)}\n")
    confirm("apply this?", yes=yes, refusal="nothing was changed")
    request = Submit(certificate=certificate).to_bytes()
    applied = apply_recovery(config, request, now_ms=now_ms())
    record = {
        "applied": applied.is_new,
        "seq": applied.seq,
        "entries_set_aside": applied.entries_set_aside,
    }
    done = "recovered" if applied.is_new else "was recovered before; nothing was changed"
    emit(settings_of(ctx), record, f"{directory}: {done}; {applied_text(applied)}")
    say(f"start it: bftcluster peer run {directory}")


def _proved(
    paths: list[Path], cluster: "Cluster"
) -> "list[tuple[RecoveryPoint, list[EpochStart]]]":
    """Return the points in these files with the epochs that each proves; say what each has.

    Raises:
        ClusterError: One proves nothing.
    """
    from bftcluster.signing.keys import Ed25519Verifier
    from bftcluster_cli.display.wording import known_peer_text

    proved = []
    for path in paths:
        point = _read_point(path)
        proved.append((point, point.epochs(cluster.genesis, Ed25519Verifier())))
        of = known_peer_text(point.peer, cluster)
        say(f"{path}: of {of}, {_point_text(point).splitlines()[0]}")
    return proved


def _operation(
    proved: "list[tuple[RecoveryPoint, list[EpochStart]]]",
    cluster: "Cluster",
    peers: list[str],
    lost: list[str],
) -> "RecoverCluster":
    """Return the recovery from the highest of the points, with what each proves.

    Raises:
        ClusterError: The choice of peers makes no sense, or every peer would refuse it.
    """
    from bftcluster.ids import PeerId, Seq
    from bftcluster.ledger.wire.recovery_operation import RecoverCluster
    from bftcluster.pbft.epochs import Epochs, recovery_after

    points = [point for point, _ in proved]
    best, epochs = max(proved, key=lambda each: each[0].seq)
    voters = Epochs(epochs).of(best.seq).replicas
    staying = tuple(dict.fromkeys(point.peer for point in points))
    coming = tuple(parse_descriptor(each).admission(votes=True) for each in peers)
    voted = {PeerId(each) for start in epochs for each in start.membership.replicas}
    for new in coming:
        if new.peer in voted:
            raise UsageError(
                f"{new.name} would vote under a key that has voted already",
                hint="if its disk is there, pass its recovery point; "
                "if it is lost, make a new peer with `bftcluster peer init`",
            )
    leaving = tuple(dict.fromkeys(_lost_peer(text, cluster) for text in lost))
    kept = set(map(PeerId, voters)) - {*staying, *leaving}
    if kept:
        say(f"{plural(len(kept), 'replica')} of before will store and not vote; see --lost")
    operation = RecoverCluster(
        seq=best.seq,
        state_root=best.state_root,
        certificate=best.certificate,
        epoch=recovery_after(max(point.epoch for point in points)),
        executed=max(point.executed for point in points),
        staying=staying,
        coming=coming,
        leaving=leaving,
    )
    if problem := recovery_problem(operation, Epochs(epochs).of(Seq(best.seq + 1)).n):
        raise UsageError(
            f"every peer would refuse this recovery: {problem}",
            hint="make another peer with `bftcluster peer init`, and pass its peer.txt with --peer",
        )
    return operation


def _lost_peer(text: str, cluster: "Cluster") -> "PeerId":
    """Return the peer that a name in the genesis, an id or a descriptor means.

    Raises:
        UsageError: It means none.
    """
    from bftcluster.signing.keys import parse_peer_id

    if Path(text).is_file() or "=" in text:
        return parse_descriptor(text).peer
    found = [peer.peer for peer in cluster.genesis.peers if peer.name == text]
    if len(found) == 1:
        return found[0]
    if not text.startswith("12D3"):
        raise UsageError(
            f"the genesis has no peer called {text!r}",
            hint="pass its id (12D3…), or its peer.txt",
        )
    return parse_peer_id(text)


def _config(directory: Path) -> "Config":
    from bftcluster.node.process.config import Config
    from bftcluster.node.process.logs import configure_logs

    if not (directory / "config.toml").is_file():
        raise ConfigError(
            f"there is no peer in {directory}", hint=f"bftcluster peer init {directory}"
        )
    config = Config.load(directory)
    configure_logs(level="warning", levels=config.log.levels, format=config.log.format)
    return config


def _read_point(path: Path) -> "RecoveryPoint":
    from bftcluster.sync.recovery_point import RecoveryPoint

    hint = "make one with `bftcluster peer recovery-point DIR`"
    return read_as(RecoveryPoint.from_bytes, path, what="recovery point", hint=hint)


def _point_record(point: "RecoveryPoint") -> dict[str, Any]:
    from bftcluster.signing.keys import peer_id_text

    return {
        "peer": peer_id_text(point.peer),
        "seq": point.seq,
        "state_root": point.state_root.hex(),
        "executed": point.executed,
        "epoch": point.epoch,
    }


def applied_text(applied: "AppliedRecovery") -> str:
    """Return where a peer stands that a recovery was applied to."""
    if applied.fetches:
        return f"at batch {applied.seq}; it fetches what it lacks from the others once it runs"
    aside = f"{plural(applied.entries_set_aside, 'batch', 'batches')} to be ordered again"
    return f"at batch {applied.seq}, {aside}"


def _point_text(point: "RecoveryPoint") -> str:
    beyond = point.executed - point.seq
    return (
        f"certified up to batch {point.seq}, executed {point.executed} "
        f"({plural(beyond, 'batch', 'batches')} beyond), epoch {point.epoch}\n"
        f"state root {point.state_root.hex()}"
    )
