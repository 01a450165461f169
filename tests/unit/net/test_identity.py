"""Peer ids in both forms."""

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.rsa import create_new_key_pair as rsa_key_pair
from libp2p.peer.id import ID

from bftcluster.ids import PeerId
from bftcluster.net.identity import libp2p_id, peer_id
from bftcluster.signing.keys import SigningKey, peer_id_text


def test_libp2p_names_the_same_key_as_we_do() -> None:
    seed = b"s" * 32
    ours = PeerId(SigningKey(seed).public_key)
    theirs = ID.from_pubkey(create_new_key_pair(seed).public_key)

    assert libp2p_id(ours) == theirs
    assert peer_id(theirs) == ours
    assert str(theirs) == peer_id_text(ours)


def test_a_peer_with_another_kind_of_key_is_none_of_ours() -> None:
    assert peer_id(ID.from_pubkey(rsa_key_pair(2048).public_key)) is None
    assert peer_id(ID(b"")) is None
