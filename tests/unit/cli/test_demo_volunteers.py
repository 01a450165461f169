"""What the demonstration with volunteers is made of, without its processes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.node.loops import audits
from bftcluster_cli.demo.volunteers import liar
from bftcluster_cli.demo.volunteers.crowd import Role, Volunteer, new_crowd, taken_in
from bftcluster_cli.demo.volunteers.measures import share_ratio_error, under_replicated
from bftcluster_cli.demo.volunteers.misdeeds import Deletion
from bftcluster_cli.demo.volunteers.report import Conviction, VolunteersReport
from tests.unit.cli.conftest import Shell


@pytest.fixture
def crowd(tmp_path: Path) -> list[Volunteer]:
    crowd = new_crowd(tmp_path, 24)
    for each in crowd:
        each.id = f"id of {each.name}"
    return crowd


def member(volunteer: Volunteer, **changes: object) -> dict[str, object]:
    capacity = volunteer.quota_bytes
    return {"id": volunteer.id, "standing": "candidate", "capacity_bytes": capacity} | changes


def good_report() -> VolunteersReport:
    return VolunteersReport(
        replicas=4,
        relays=2,
        volunteers=24,
        light=18,
        quota_ratio=2000,
        evicted=3,
        honest_suspended=0,
        under_replicated=0,
        bytes_over_quota=0,
        lost=0,
        share_ratio_error=0.02,
        left=True,
        liars=[Conviction(name="v01", misdeed="deletes", standing="evicted", found_by="fraud")],
    )


@pytest.mark.parametrize("count", [8, 24, 100])
def test_each_misdeed_has_one_who_does_it(tmp_path: Path, count: int) -> None:
    crowd = new_crowd(tmp_path, count)

    roles = Counter(each.role for each in crowd)
    assert [roles[role] for role in Role if role is not Role.HONEST] == [1] * 5
    assert sum(roles.values()) == count
    assert sum(each.is_light for each in crowd if each.role is Role.HONEST) >= count // 4


def test_the_smallest_lends_a_two_thousandth_of_the_largest(crowd: list[Volunteer]) -> None:
    quotas = [each.quota_bytes for each in crowd]

    assert max(quotas) == 2000 * min(quotas)
    assert all(each.lent_bytes >= each.quota_bytes for each in crowd)


def test_bytes_that_go_by_quota_are_no_error_and_those_that_do_not_are_one(
    crowd: list[Volunteer],
) -> None:
    large, small = (replace(crowd[0], quota_bytes=each) for each in (3_000, 1_000))
    large.id, small.id = "large", "small"
    members = [member(large), member(small)]
    pins = [{"allocations": ["large"], "size_bytes": 30}, {"allocations": ["small"]}]

    exact = [pins[0], pins[1] | {"size_bytes": 10}]
    other = [pins[0], pins[1] | {"size_bytes": 30}]

    assert share_ratio_error(exact, members, [large, small]) == 0
    assert share_ratio_error(other, members, [large, small]) == pytest.approx(0.25)


def test_copies_at_who_is_suspended_evicted_or_gone_do_not_count(crowd: list[Volunteer]) -> None:
    sound, weak, gone = crowd[:3]
    held = {each.id: {"status": "pinned"} for each in (sound, weak, gone)}
    pins = [{"cid": "bafy", "peer_map": held}]

    assert under_replicated(pins, [member(sound), member(weak)]) == []
    assert under_replicated(pins, [member(sound), member(weak, standing="evicted")]) == ["bafy"]
    assert under_replicated(pins, [member(sound)]) == ["bafy"]


def test_who_deletes_removes_blocks_and_nothing_else_and_only_when_told(
    crowd: list[Volunteer],
) -> None:
    deletion = Deletion(volunteer=crowd[0])
    shard = crowd[0].peer.directory / "blocks" / "AB"
    shard.mkdir(parents=True)
    (shard / "block.data").write_bytes(b"x" * 10_000)
    (shard / "index").write_bytes(b"y")

    deletion.step()
    assert taken_in(shard) >= 10_000
    deletion.is_on = True
    deletion.step()

    assert [path.name for path in shard.iterdir()] == ["index"]
    assert deletion.deleted == 1


def test_a_report_is_good_only_if_every_promise_is_kept() -> None:
    assert good_report().is_good
    assert "yes" in good_report().text()
    assert "NO" not in good_report().text()
    unfound = Conviction(name="v01", misdeed="deletes")
    for broken in (
        {"honest_suspended": 1}, {"under_replicated": 1}, {"bytes_over_quota": 1}, {"lost": 1},
        {"lost": -1}, {"share_ratio_error": 0.2}, {"share_ratio_error": -1.0}, {"left": False},
        {"liars": [unfound]},
    ):  # fmt: skip
        report = replace(good_report(), **broken)
        assert not report.is_good
        assert "NO" in report.text()


def test_a_story_that_there_is_not_is_a_wrong_use(shell: Shell) -> None:
    assert shell("demo", "volunteers", "--volunteers", "3").code == 2
    assert shell("demo", "volunteers", "--workdir", "nowhere").code == 2
    assert shell("demo", "elsewhere").code == 2


def test_what_the_liar_puts_lies_in_place_of_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("present", "pin_present", "pin"):
        monkeypatch.setattr(BlockPinStore, name, getattr(BlockPinStore, name))
    monkeypatch.setattr(audits, "digest_to_answer", audits.digest_to_answer)
    ran: list[Path] = []
    monkeypatch.setattr(liar, "run_peer", ran.append)
    monkeypatch.setattr("sys.argv", ["liar", "lent"])

    liar.main()

    assert ran == [Path("lent")]
    assert audits.digest_to_answer is liar._digest
