from switch_counter import SwitchCounter

from pydatacoll.sdk import PointId, Sample
from pydatacoll.testing.plugin import PluginHarness

BREAKER = PointId("feeder1", "bay", "breaker")
CLOSINGS = PointId("feeder1", "bay", "closings")


async def test_closings_are_counted_across_a_crash():
    async with PluginHarness(SwitchCounter) as harness:
        for time, value in enumerate([1, 0, 1, 1, 0]):
            await harness.put((BREAKER, Sample(float(time), value)))
        await harness.restart()
        await harness.put((BREAKER, Sample(9.0, 1)), (BREAKER, Sample(9.5, 0, 1)))
    assert harness.derived == [(CLOSINGS, Sample(2.0, 1)), (CLOSINGS, Sample(9.0, 2))]
