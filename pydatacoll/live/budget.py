"""What the subscriptions of all clients together may hold: memory that clients cause must have an end. Pure."""

from __future__ import annotations

from typing import Final

MOST_SUBSCRIPTIONS: Final = 10_000
"""Unless set otherwise."""
MOST_POINTS: Final = 1_000_000
"""Unless set otherwise; about 300 bytes each."""


class TooMuch(Exception):
    """Somebody asks for more than there is room for."""


class Budget:
    """Counts subscriptions, and points: those that selections name, and those that they show. A selection is
    shared by all who want the same with the same rights, and counts once; ``*`` holds nothing of its own.

    :ivar subscriptions: how many there are.
    :ivar points: how many are held.
    """

    def __init__(self, most_subscriptions: int = MOST_SUBSCRIPTIONS, most_points: int = MOST_POINTS) -> None:
        self._most_subscriptions = most_subscriptions
        self._most_points = most_points
        self.subscriptions = 0
        self.points = 0

    def check(self, points: int) -> None:
        """Whether there is room for one more subscription, and for so many points.

        :raises TooMuch: there is not.
        """
        if self.subscriptions >= self._most_subscriptions:
            raise TooMuch(
                f"all clients together have {self.subscriptions} subscriptions already; "
                "see server.live_subscriptions"
            )
        if not self.fits(points):
            raise TooMuch(self.full)

    def fits(self, points: int) -> bool:
        """Whether there is room for so many more."""
        return self.points + points <= self._most_points

    @property
    def full(self) -> str:
        """Why no more points are taken."""
        return (
            f"the subscriptions of all clients together may hold {self._most_points} points, and this one is "
            "beyond that; ask for less; see server.live_points"
        )
