"""Options of a pin on the command line, and what they mean."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import UsageError

if TYPE_CHECKING:
    from bftcluster.ledger.wire.block_tree import PinContents
    from bftcluster.ledger.wire.operations import PinOperation
    from bftcluster.ledger.wire.pin_strategy import AgeRule, PinStrategy

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}

Name = Annotated[str, typer.Option("--name", "-n", help="What people call the pin.")]
Least = Annotated[
    int | None,
    typer.Option(
        "--replication-min",
        "--rmin",
        metavar="N",
        help="Peers that must hold it, or -1 for every peer; the cluster's default if not given.",
    ),
]
Most = Annotated[
    int | None,
    typer.Option("--replication-max", "--rmax", metavar="N", help="Peers that should hold it."),
]
ExpireIn = Annotated[
    str, typer.Option(metavar="TIME", help="Unpin by itself after, for example, 12h or 30d.")
]
Metadata = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept with the pin; may be repeated.")
]
Allocations = Annotated[
    str,
    typer.Option(
        "--allocations", "--allocs", metavar="PEERS", help="Peer ids to prefer, with commas."
    ),
]
Place = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD=VALUE",
        help="By what holders are chosen: strategy=balanced|freespace|tags, require=KEY:VALUE (all "
        "have it), prefer=KEY:VALUE, spread=KEY (different values), domains=N; may be repeated.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", "-w", help="Wait until every allocated peer holds it.")
]
PEER: Final = "FILE|NAME=12D3…@ADDRESS,…"
"""How people name a peer that a command has to know of: by what `peer init` wrote."""
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Sign without asking.")]
ValidFor = Annotated[
    str, typer.Option(metavar="TIME", help="How long others can approve, for example 48h.")
]


def peers(help_text: str, metavar: str = PEER) -> Any:  # noqa: ANN401
    """Return an option that names peers, and may be given several times."""
    return typer.Option(metavar=metavar, help=f"{help_text}; repeatable.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChoice:
    """What was asked for, as typed."""

    name: str = ""
    least: int | None = None
    most: int | None = None
    expire_in: str = ""
    metadata: tuple[str, ...] = ()
    allocations: str = ""
    is_direct: bool = False
    place: tuple[str, ...] = ()

    def operation(
        self, cid_text: str, *, now_ms: int, contents: "PinContents | None" = None
    ) -> "PinOperation":
        """Return the operation to sign, with what is behind the CID if that is known.

        Raises:
            UsageError: The options make no sense.
        """
        from bftcluster.cid import parse
        from bftcluster.ledger.wire.operations import PinMode, PinOperation, sorted_metadata
        from bftcluster.signing.keys import parse_peer_id

        least, most = replication(self.least, self.most)
        return PinOperation(
            cid=parse(cid_text),
            name=self.name,
            replication_min=least,
            replication_max=most,
            mode=PinMode.DIRECT if self.is_direct else PinMode.RECURSIVE,
            metadata=sorted_metadata(dict(map(_pair, self.metadata))),
            user_allocations=tuple(
                parse_peer_id(text) for text in self.allocations.split(",") if text
            ),
            expire_at_ms=now_ms + duration_ms(self.expire_in) if self.expire_in else 0,
            contents=contents,
            strategy=strategy_of(self.place),
        )


def strategy_of(words: Collection[str]) -> "PinStrategy | None":
    """Return what ``--place`` asks for; None: nothing.

    Raises:
        UsageError: It makes no sense.
    """
    from bftcluster.ledger.wire.pin_strategy import parse_strategy

    pairs = [text.partition("=") for text in words]
    if not all(separator and value for _, separator, value in pairs):
        raise UsageError(
            "--place takes WORD=VALUE", hint="as in --place require=disk:ssd --place spread=region"
        )
    return parse_strategy([(word, value) for word, _, value in pairs])


def age_rule(text: str) -> "AgeRule":
    """Return the rule in ``30d=2-3``.

    Raises:
        UsageError: It is none.
    """
    from bftcluster.ledger.wire.pin_strategy import AgeRule

    found = re.fullmatch(r"([0-9smhdw]+)=([0-9]{1,4})-([0-9]{1,4})", text)
    if found is None:
        raise UsageError(f"not a rule: {text!r}", hint="as in --rule 30d=2-3")
    age, least, most = found.groups()
    age_ms = 0 if re.fullmatch("0[smhdw]", age) else duration_ms(age)
    return AgeRule(age_ms, int(least), int(most))


def replication(least: int | None, most: int | None) -> tuple[int, int]:
    """Return both factors; one that was given alone counts for the other where it must.

    Raises:
        UsageError: They contradict each other.
    """
    if least is None and most is None:
        return 0, 0
    if least is None:
        assert most is not None, "one was given"
        least = most
    if most is None:
        most = least
    if 0 in (least, most):
        raise UsageError("replication is -1 for every peer, or 1 and more")
    return least, most


def duration_ms(text: str) -> int:
    """Return the milliseconds of ``90s``, ``12h``, ``1h30m``, ``30d`` or ``2w``.

    Raises:
        UsageError: Not a time, or none at all.
    """
    parts = re.findall(r"([0-9]{1,9})([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"not a time: {text!r}", hint="a time looks like 90s, 12h, 1h30m or 30d")
    total_ms = sum(int(number) * _UNITS_MS[unit] for number, unit in parts)
    if not total_ms:
        raise UsageError(f"not a time: {text!r}", hint="it must be longer than nothing")
    return total_ms


def duration_text(ms: int) -> str:
    """Return so long a time as ``duration_ms`` reads it: ``1h``, ``1d12h``."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        number, ms = divmod(ms, _UNITS_MS[unit])
        parts += [f"{number}{unit}"] if number else []
    parts += [f"{ms}ms"] if ms else []
    return "".join(parts) or "0s"


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"not metadata: {text!r}", hint="as in --metadata source=archive")
    return key, value
