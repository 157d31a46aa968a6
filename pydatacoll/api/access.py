"""Who may do what: bearer tokens, their scopes, and the devices that a token is limited to.

A token is 256 random bits, so its plain SHA-256 is all that is kept: nothing can be guessed, and checking a
request costs microseconds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, Literal

from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.visible import VisibleModel
from pydatacoll.model.audit import devices_of
from pydatacoll.model.change import Change, Key
from pydatacoll.model.fields import PARAM, id_from_json
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Kind
from pydatacoll.settings import AuthSettings

Scope = Literal["open", "read", "operate", "admin"]
"""What an operation asks for. Each scope of a token includes those before it."""

_RANK: Final[dict[Scope, int]] = {"open": 0, "read": 1, "operate": 2, "admin": 3}
_CHALLENGE: Final = 'Bearer realm="PyDataColl"'


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Who asks.

    :ivar name: of the token, for the audit trail; empty when no tokens are configured.
    :ivar devices: globs of the device ids it is limited to; empty: all.
    :ivar expires: epoch seconds.
    """

    name: str
    scope: Scope
    devices: tuple[str, ...] = ()
    expires: float | None = None

    def sees(self, device_id: str) -> bool:
        """Whether a device is among those the token is for."""
        return not self.devices or any(fnmatchcase(device_id, glob) for glob in self.devices)


LOCAL: Final = Identity("", "admin")
"""Who asks when no tokens are configured: the server listens on loopback only."""


class Denied(ApiProblem):
    """No access. ``user`` is the name of the token, when there is such a token at all."""

    def __init__(self, user: str, kind: str, detail: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(kind, detail, headers=headers)
        self.user = user


class Bucket:
    """A token bucket: ``rate`` a second, ``burst`` at once. ``rate`` 0 means no limit."""

    __slots__ = ("_burst", "_clock", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._clock = clock
        self._then = clock()

    def take(self, count: int) -> float:
        """Take ``count``, or nothing and tell how many seconds to wait. What is more than a burst waits for a
        full bucket."""
        if not self._rate:
            return 0.0
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        wanted = min(float(count), self._burst)
        if self._left >= wanted:
            self._left -= count
            return 0.0
        return (wanted - self._left) / self._rate


class Access:
    """The configured tokens. Without any, everybody (on loopback) may do everything."""

    def __init__(self, settings: AuthSettings, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._by_hash = {
            token.hash.lower(): Identity(
                token.name, token.scope, tuple(token.devices), _epoch(token.expires) if token.expires else None
            )
            for token in settings.tokens
        }
        self._buckets = {
            identity: Bucket(settings.control_rate, settings.control_burst) for identity in self._by_hash.values()
        }
        self._views: dict[Identity, VisibleModel] = {}

    @property
    def required(self) -> bool:
        """Whether requests need a token."""
        return bool(self._by_hash)

    def identify(self, authorization: str | None, scope: Scope) -> Identity:
        """Who sends a request with this ``Authorization`` header to an operation of this scope.

        :raises ApiProblem: 401 without a valid token, 403 when its scope does not suffice.
        """
        if not self._by_hash or scope == "open":
            return LOCAL
        if authorization is None:
            raise _unauthorized("this needs an access token: send it as Authorization: Bearer TOKEN", "")
        kind, _, token = authorization.partition(" ")
        identity = None
        if kind.lower() == "bearer":
            secret = token.strip().encode("utf-8", "surrogateescape")
            identity = self._by_hash.get(hashlib.sha256(secret).hexdigest())
        if identity is None:
            raise _unauthorized("the access token is not known here", ', error="invalid_token"')
        if self.expired(identity):
            detail = f"the access token {identity.name!r} has expired"
            raise _unauthorized(detail, ', error="invalid_token"', identity.name)
        if _RANK[identity.scope] < _RANK[scope]:
            raise Denied(
                identity.name,
                "forbidden",
                f"this needs the scope {scope}; the access token {identity.name!r} has {identity.scope}",
                headers={
                    "WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"',
                },
            )
        return identity

    def expired(self, identity: Identity) -> bool:
        """Whether a token that was taken has expired since."""
        return identity.expires is not None and self._wall() >= identity.expires

    def spend(self, identity: Identity, writes: int) -> None:
        """Count writes to devices against the rate limit of a token.

        :raises ApiProblem: 429 when there were too many.
        """
        bucket = self._buckets.get(identity)
        wait = bucket.take(writes) if bucket is not None else 0.0
        if wait > 0:
            raise ApiProblem(
                "too-many",
                f"the access token {identity.name!r} writes more often than auth.control_rate allows",
                headers={"Retry-After": str(int(wait) + 1)},
            )

    def view(self, identity: Identity, registry: ModelView) -> ModelView:
        """The part of the model that a token is for."""
        if not identity.devices:
            return registry
        view = self._views.get(identity)
        if view is None or not view.shows(registry):
            view = self._views[identity] = VisibleModel(registry, identity.sees)
        return view


def _unauthorized(detail: str, more: str, user: str = "") -> Denied:
    return Denied(user, "unauthorized", detail, headers={"WWW-Authenticate": _CHALLENGE + more})


def _epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def not_for(
    identity: Identity,
    kind: Kind,
    payload: object,
    model: ModelView,
    registry: ModelView,
    *,
    new_terms: Collection[Key] = (),
) -> str:
    """What an object names that a token is not for, as ``device south1``; "" when there is nothing.

    Asked before anything is worked out, for a conflict, or that something is missing, would tell what others have.

    :param model: the part of ``registry`` that the token is for.
    :param new_terms: terms that come with the object; they are looked at themselves.
    """
    if not identity.devices or not isinstance(payload, Mapping):
        return ""
    device_ids = [id_from_json(payload.get("id" if kind == "device" else "device_id"))]
    term_ids = []
    if kind in {"term_item", "formula"}:
        term_ids.append(id_from_json(payload.get("term_id")))
    if kind == "formula":
        points = (value for name, value in payload.items() if PARAM.match(name) and isinstance(value, str))
        device_ids += [point.partition(":")[0] for point in points]
    for device_id in device_ids:
        if device_id and not identity.sees(device_id):
            return f"device {device_id}"
    for term_id in term_ids:
        if term_id and term_id not in model.terms and term_id not in new_terms:
            return f"term {term_id}"
    own_id = id_from_json(payload.get("id")) or ""
    if kind == "term" and own_id in registry.terms and own_id not in model.terms:
        return f"term {own_id}"
    if kind == "formula" and own_id in registry.formulas and own_id not in model.formulas:
        return f"formula {own_id}"
    return ""


def check_named(identity: Identity, kind: Kind, payload: object, model: ModelView, registry: ModelView) -> None:
    """Whether a token is for all that an object names, see :func:`not_for`.

    :raises ApiProblem: 403 naming what it is not for.
    """
    what = not_for(identity, kind, payload, model, registry)
    if what:
        raise ApiProblem("forbidden", f"the access token {identity.name!r} is not for {what}")


def check_changes(
    identity: Identity, changes: Sequence[Change], overlay: Overlay, registry: ModelView
) -> Steps[None]:
    """Whether a token may make these changes, in steps: all devices concerned must be its own.

    :raises ApiProblem: 403 when one is not; it is not named, because the token does not see it.
    """
    for change in changes:
        yield
        for one in (change.old, change.new):
            for device_id in () if one is None else devices_of(one, change, overlay, registry):
                if not identity.sees(device_id):
                    raise ApiProblem(
                        "forbidden",
                        f"this would change devices that the access token {identity.name!r} is not for",
                    )
