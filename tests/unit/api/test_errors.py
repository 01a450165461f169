"""Whatever a peer can say no with has a status of its own choosing."""

from collections.abc import Iterator

import pytest

import bftcluster.node.daemon  # noqa: F401 - loads every module that could define an error
from bftcluster.api.http.errors import BusyError, answer_cluster_error, error_object, status_of
from bftcluster.errors import ClusterError, MalformedContentError


def kinds(base: type[ClusterError] = ClusterError) -> Iterator[type[ClusterError]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("bftcluster."):
            yield kind
        yield from kinds(kind)


def made(kind: type[ClusterError]) -> ClusterError:
    """Return an error without asking its constructor."""
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    return error


def test_every_error_has_a_status() -> None:
    found = {kind.__name__: status_of(made(kind)) for kind in kinds()}

    assert len(found) > 30
    assert {name for name, status in found.items() if status == 500} == {
        "BlockStoreError",
        "ConfigError",
        "CorruptRecordError",
        "FatalStorageError",
        "SchemaVersionError",
        "StorageError",
    }


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("MalformedContentError", 400),
        ("PathNotFoundError", 404),
        ("BlockNotFoundError", 404),
        ("SlowClientError", 408),
        ("HaltedError", 503),
        ("BusyError", 503),
        ("ThresholdNotMetError", 403),
        ("InvalidCidError", 400),
        ("StoreFullError", 507),
    ],
)
def test_the_status_says_whose_fault_it_is(name: str, status: int) -> None:
    [kind] = {kind for kind in kinds() if kind.__name__ == name}

    assert status_of(made(kind)) == status
    assert error_object(made(kind))["code"] == status


async def test_whoever_came_too_many_is_told_when_to_come_again() -> None:
    busy = await answer_cluster_error(None, BusyError("16 uploads"))  # type: ignore[arg-type]
    bad = await answer_cluster_error(None, MalformedContentError("no CAR"))  # type: ignore[arg-type]

    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    assert "retry-after" not in bad.headers
