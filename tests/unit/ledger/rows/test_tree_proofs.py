import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.rows.tree_nodes import BRANCH_SIZE, EMPTY_BRANCH, EMPTY_PAGE, ENTRY_SIZE
from bftcluster.ledger.rows.tree_proofs import Proof


def test_a_proof_survives_its_encoding() -> None:
    proof = Proof((EMPTY_BRANCH, EMPTY_PAGE + bytes(2 * ENTRY_SIZE)))

    assert Proof.from_bytes(proof.to_bytes()) == proof


@pytest.mark.parametrize(
    "value",
    [
        {},
        1,
        ["text"],
        [b""],
        [b"\x02"],
        [b"\x00" + bytes(1)],
        [b"\x00" + bytes(33 * ENTRY_SIZE)],
        [b"\x01" + bytes(BRANCH_SIZE)],
        [b"\x01"],
    ],
)
def test_bytes_that_are_no_proof_are_refused(value: object) -> None:
    with pytest.raises(MalformedMessageError, match="array of nodes"):
        Proof.from_bytes(codec.encode(value))
