"""Shapes of plugins."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from pydatacoll.api.view_types import Time


class RunnerView(Struct, kw_only=True):
    """A process, or a part of one, that runs a plugin. Its counts begin with its start."""

    runner: str
    host: str
    pid: int
    state: Annotated[str, Meta(description="running, or in a few words why not")]
    reported: Annotated[Time, Meta(description="when it said this")]
    partitions: Annotated[list[int], Meta(description="parts of the data stream that it handles now")]
    handled: Annotated[int, Meta(description="samples")]
    retries: Annotated[int, Meta(description="batches given to the plugin again")]
    dead_lettered: Annotated[int, Meta(description="samples the plugin could not handle")]
    longest_step: Annotated[
        float, Meta(description="longest time in which the plugin let nothing else of its process run, seconds")
    ]
    last_error: str | UnsetType | None = UNSET
    last_error_time: Time | UnsetType | None = UNSET
    counters: Annotated[dict[str, int] | UnsetType, Meta(description="what the plugin counts by itself")] = UNSET
    status: Annotated[dict[str, Any] | UnsetType, Meta(description="details of the plugin's own")] = UNSET


class PluginView(Struct, kw_only=True):
    """A plugin, wherever it runs. Its counts are of all time."""

    name: str
    description: str
    enabled: Annotated[bool, Meta(description="whether the settings of this server name it")]
    state: Annotated[
        str,
        Meta(
            description="running; or what is wrong with a runner; without a runner stopped, or not enabled when "
            "it is not enabled here"
        ),
    ]
    behind: Annotated[float, Meta(description="how long the oldest sample to be handled has waited, seconds")]
    lag: Annotated[int, Meta(description="samples to be handled")]
    lag_entries: Annotated[int, Meta(description="batches of the data stream to be handled")]
    handled: Annotated[int, Meta(description="samples")]
    retries: Annotated[int, Meta(description="batches given to the plugin again")]
    dead_lettered: Annotated[int, Meta(description="samples the plugin could not handle")]
    dropped: Annotated[int, Meta(description="samples that left the stream before they were handled")]
    runners: list[RunnerView]


class HeldSamples(Struct):
    """What the data stream has kept for a plugin."""

    samples: int
    entries: Annotated[int, Meta(description="batches of the data stream")]


class ForgottenPlugin(Struct):
    """A plugin that has no place in the data stream any more."""

    released: HeldSamples


COMPONENTS: Final[tuple[type[Struct], ...]] = (PluginView, RunnerView, HeldSamples, ForgottenPlugin)
