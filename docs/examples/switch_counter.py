"""A plugin that counts how often breakers close, and never forgets or repeats one."""

from pydatacoll.model import is_usable
from pydatacoll.sdk import DataBatch, Effects, Plugin, Sample


class SwitchCounter(Plugin):
    """A point of the item ``breaker`` gets a neighbour ``closings``: a count that grows when it changes to 1."""

    name = "switch_counter"
    description = "Example: how often breakers close"

    async def start(self) -> None:
        self.known: dict[int, dict[str, tuple[int, int]]] = {}  # partition -> point -> position and count

    async def partition_started(self, partition: int, state: dict[str, bytes]) -> None:
        self.known[partition] = {
            point: (int(position), int(count))
            for point, text in state.items()
            for position, count in [text.split()]
        }

    async def handle(self, batch: DataBatch) -> Effects:
        known, effects = self.known[batch.partition], Effects()
        for point, sample in batch.samples():
            if point.item_id != "breaker" or not is_usable(sample.quality):
                continue
            closed, before = int(bool(sample.value)), known.get(str(point), (1, 0))
            if closed != before[0]:
                known[str(point)] = now = (closed, before[1] + closed)
                effects.state[str(point)] = b"%d %d" % now
                if closed:
                    effects.samples.append((point._replace(item_id="closings"), Sample(sample.time, now[1])))
        return effects
