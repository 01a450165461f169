"""What monitors are told beside what each peer says of itself."""

from bftcluster.blocks.port import Damage
from bftcluster.ids import PeerId
from bftcluster.node.service.health.metric_views import metric_views

ME = PeerId(bytes(32))


def test_an_alarm_counts_those_whose_eviction_waits() -> None:
    damage = Damage(blocks=0, found=0, healed=0)

    views = metric_views(
        {}, bool, me=ME, damage=damage, evictions_waiting=3, now_ms=7, lifetime_ms=10
    )

    [alarm] = [view for view in views if view.name == "evictions-waiting"]
    assert (alarm.peer, alarm.value, alarm.weight, alarm.is_valid) == (ME, "3", 3, True)
