"""One station in a worker process: the client of lib60870, the relay before it, and what it is made to send."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from msgspec.structs import replace

from pydatacoll.protocols.iec104.asdu import Asdu, decode, encode
from pydatacoll.protocols.iec104.c104_calls import DEACTIVATION, Call, Caller, is_select
from pydatacoll.protocols.iec104.c104_messages import (
    Closed,
    Logged,
    Open,
    Opened,
    Progress,
    Received,
    ToManager,
    Unsupported,
)
from pydatacoll.protocols.iec104.c104_relay import Relay
from pydatacoll.protocols.iec104.types import TYPES
from pydatacoll.resolver import in_words

UNKNOWN_TYPE = 44
MARGIN = 8
"""Frames by which the library's window is larger than k: the manager keeps to k, and the library learns of an
acknowledgement a moment after it."""
TICK = 1000
"""Milliseconds between two looks of the client at its connections."""
SENT_WITHIN = 2.0
"""Seconds after a failed call within which its frame must have been seen; otherwise it was not sent at all."""
DECISION = 2.0
"""Seconds for which an execute waits for its release."""

Key = tuple[int, int, int]
"""Type, common address, information object address."""


class _Sent:
    """What the library was told to send.

    :ivar call: ``None`` for the execute of a selected command, which the library sends by itself.
    :ivar position: octets sent before and with it; ``None``: it has not been sent yet.
    :ivar returned: its call has returned, or it has none.
    """

    def __init__(self, token: int, asdu: Asdu, call: Call | None) -> None:
        self.token = token
        self.asdu = asdu
        self.call = call
        self.position: int | None = None
        self.returned = False


class _Selected:
    """A select whose execute has not been sent yet.

    :ivar released: the execute, once the manager has sent it.
    :ivar revoked: the manager has taken back the command.
    :ivar held: the library has sent the execute already.
    """

    def __init__(self) -> None:
        self.released: _Sent | None = None
        self.revoked = False
        self.held = False


class Session:
    """A way to a station, seen from the worker.

    :param c104: the package.
    :param calls: threads for calls of the library, which block.
    :param tell: tells the manager.
    :param gone: called once, when everything of it has ended.
    """

    def __init__(
        self,
        options: Open,
        c104: Any,
        calls: Executor,
        tell: Callable[[ToManager], None],
        gone: Callable[[int], None],
    ) -> None:
        self._options = options
        self._c104 = c104
        self._calls = calls
        self._tell = tell
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._relay = Relay(self, frames=options.frames)
        self._client: Any = None
        self._connection: Any = None
        self._caller: Caller | None = None
        self._closed = False
        self._task: asyncio.Task[None] = self._loop.create_task(self._run(), name=f"station {options.station}")
        self._end = asyncio.Event()
        self._progress = Progress(options.station, 0, 0, 0, 0)
        self._told = self._progress
        # by token, until acknowledged; those seen on the line, in order
        self._sent: dict[int, _Sent] = {}
        self._on_line: deque[int | None] = deque()
        # calls of one address, of which only the first is under way
        self._turns: dict[tuple[int, int], deque[_Sent]] = {}
        self._selected: dict[Key, _Selected] = {}

    # What the manager wants

    def send(self, token: int, octets: bytes) -> None:
        """Make the library send this."""
        if self._closed or self._caller is None:
            return
        asdu = decode(octets)  # checked by the manager
        selected = self._selected.get(_key(asdu))
        if selected is not None and asdu.cause == DEACTIVATION:
            selected.revoked = True
            if selected.held:
                self._relay.release()
                return
        elif selected is not None and not selected.revoked and not is_select(asdu):
            released = selected.released = self._sent[token] = _Sent(token, asdu, None)
            released.returned = True
            self._note(returned=self._progress.returned + 1)
            self._relay.release()
            return
        call = self._caller.call(asdu)
        if call is None:
            answer = encode(replace(asdu, cause=UNKNOWN_TYPE, negative=True))
            self._tell(Unsupported(self._options.station, token, answer))
            return
        sent = self._sent[token] = _Sent(token, asdu, call)
        if call.point is None:
            self._call(sent, call)
            return
        turn = self._turns.setdefault(call.point, deque())
        turn.append(sent)
        if len(turn) == 1:
            self._call(sent, call)

    def recall(self, token: int) -> None:
        """The time of what was sent is over: it must not arrive any more."""
        sent = self._sent.get(token)
        if sent is None or (sent.position is not None and self._relay.arrived(sent.position)):
            return
        self.over("a command did not arrive before its time was over", "recalled")

    def pause(self, *, on: bool) -> None:
        """Read nothing from the station, or go on."""
        self._relay.pause(on=on)

    def stall(self, *, on: bool) -> None:
        """The manager does not take what comes, or takes it again."""
        self._relay.pause(on=on, why="manager")
        if on:
            self._note(stalls=self._progress.stalls + 1)

    def watch(self, *, on: bool) -> None:
        """Whether frames are wanted."""
        self._relay.frames = on

    def close(self) -> None:
        """End it."""
        self.over("closed by us")

    # What the relay sees

    def started(self) -> None:
        self._tell(Opened(self._options.station, self._relay.peer))

    def received(self, octets: int, asdus: list[bytes]) -> None:
        self._tell(Received(self._options.station, octets, asdus))

    def sending(self, asdu: bytes, position: int) -> bool:
        decoded = decode(asdu)
        key = _key(decoded)
        selected = self._selected.get(key)
        if decoded.cause == DEACTIVATION or is_select(decoded) or selected is None:
            sent = self._unsent(decoded)
        elif selected.revoked:
            self.over("a selected command was taken back, which lib60870 would have executed", "recalled")
            return False
        elif selected.released is None:
            if not selected.held:
                selected.held = True
                self._loop.call_later(DECISION, self._undecided, key, selected)
            return False
        else:
            sent = selected.released
            del self._selected[key]
        if decoded.cause != DEACTIVATION and is_select(decoded):
            self._selected[key] = _Selected()
        if sent is not None:
            sent.position = position
        self._on_line.append(None if sent is None else sent.token)
        self._note(octets=position)
        return True

    def acknowledged(self, number: int) -> None:
        for _ in range(number):
            token = self._on_line.popleft() if self._on_line else None
            if token is not None:
                self._sent.pop(token, None)
        self._note(acknowledged=self._progress.acknowledged + number)

    def frame(self, frame: bytes, *, sent: bool) -> None:
        self._tell(Logged(self._options.station, sent, frame))

    def over(self, reason: str, counter: str = "") -> None:
        self._finish(Closed(self._options.station, reason, counter))

    # Calls

    def _call(self, sent: _Sent, call: Call) -> None:
        future = self._loop.run_in_executor(self._calls, call.run)
        future.add_done_callback(lambda done: self._returned(sent, call, done))

    def _returned(self, sent: _Sent, call: Call, future: asyncio.Future[bool]) -> None:
        error = future.exception()
        if (error is not None or not future.result()) and sent.position is None and not self._closed:
            self._loop.call_later(SENT_WITHIN, self._not_sent, sent, error)
        if not sent.returned:
            sent.returned = True
            self._note(returned=self._progress.returned + 1)
        if call.point is None:
            return
        turn = self._turns[call.point]
        turn.popleft()
        released = self._unselect(sent)
        if released is not None:
            turn.appendleft(released)
        if not turn:
            del self._turns[call.point]
        elif (following := turn[0].call) is not None:
            self._call(turn[0], following)

    def _unselect(self, sent: _Sent) -> _Sent | None:
        """The library is done with a select. It was refused or not answered when no execute has been seen; what
        came for it then is a command of its own: that is returned, ready to be called."""
        selected = self._selected.get(_key(sent.asdu))
        if selected is None or selected.held or not is_select(sent.asdu):
            return None
        del self._selected[_key(sent.asdu)]
        released = selected.released
        if released is None or self._caller is None:
            return None
        released.call = self._caller.call(released.asdu)
        return None if released.call is None else released

    def _not_sent(self, sent: _Sent, error: BaseException | None) -> None:
        if sent.position is None:
            name = TYPES[sent.asdu.type_id].name
            self.over(f"lib60870 did not send {name}: {error or 'it does not say why'}")

    def _undecided(self, key: Key, selected: _Selected) -> None:
        if self._selected.get(key) is selected and selected.released is None:
            self.over("a selected command was given up, which lib60870 would have executed", "recalled")

    def _unsent(self, asdu: Asdu) -> _Sent | None:
        """What the library was told to send when it sends this."""
        key, select = _key(asdu), is_select(asdu)
        waiting = (sent for sent in self._sent.values() if sent.position is None and sent.call is not None)
        return next((sent for sent in waiting if (_key(sent.asdu), is_select(sent.asdu)) == (key, select)), None)

    # From begin to end

    async def _run(self) -> None:
        try:
            await self._connect()
            await self._end.wait()
        except Exception as error:  # noqa: BLE001 - whatever the library objects to, only this station is lost
            self.over(f"lib60870 cannot be used: {error!r}")
        finally:
            self._relay.close()
            # in a thread, for it waits for threads of the library
            await self._loop.run_in_executor(self._calls, self._stop_client)
            await self._relay.close_library()
            self._gone(self._options.station)

    async def _connect(self) -> None:
        options = self._options
        try:
            async with asyncio.timeout(options.timers[0]):
                await self._relay.connect(options.address, options.port)
        except OSError as error:
            self._finish(Closed(options.station, in_words(error), refused=True))
            return
        if self._closed:
            return
        port = await self._relay.listen()
        await self._loop.run_in_executor(self._calls, self._start_client, port)

    def _start_client(self, port: int) -> None:
        """In a thread of its own."""
        c104, options = self._c104, self._options
        self._client = c104.Client(tick_rate_ms=TICK, command_timeout_ms=options.patience)
        self._connection = connection = self._client.add_connection("127.0.0.1", port, c104.Init.MUTED)
        parameters = connection.protocol_parameters
        parameters.send_window_size = options.k + MARGIN
        parameters.receive_window_size = options.w
        parameters.connection_timeout, parameters.message_timeout = options.timers[:2]
        parameters.confirm_interval, parameters.keep_alive_interval = options.timers[2:]
        if options.originator:
            connection.originator_address = options.originator
        connection.on_state_change(callable=self._on_state())
        self._client.on_new_station(callable=self._on_new_station())
        self._caller = Caller(c104, connection)
        self._client.start()

    def _on_state(self) -> Callable[[Any, Any], None]:
        c104, loop = self._c104, self._loop

        def changed(connection: Any, state: Any) -> None:
            # a call of the library from its own thread could wait for itself
            if state == c104.ConnectionState.OPEN_MUTED:
                loop.call_soon_threadsafe(self._unmute)

        # c104 looks at the annotations, and takes no text for them
        changed.__annotations__ = {"connection": c104.Connection, "state": c104.ConnectionState, "return": None}
        return changed

    def _on_new_station(self) -> Callable[[Any, Any, int], None]:
        def ignored(client: Any, connection: Any, common_address: int) -> None:
            """Without this the library keeps all stations and points that send; see :class:`Caller`."""

        annotations = {"client": self._c104.Client, "connection": self._c104.Connection, "common_address": int}
        ignored.__annotations__ = {**annotations, "return": None}
        return ignored

    def _unmute(self) -> None:
        """Start data transfer."""
        if not self._closed:
            starting = self._loop.run_in_executor(self._calls, self._connection.unmute)
            starting.add_done_callback(self._unmuted)

    def _unmuted(self, future: asyncio.Future[bool]) -> None:
        error = future.exception()
        if error is not None or not future.result():
            self.over(f"lib60870 did not start data transfer: {error or 'it does not say why'}")

    def _stop_client(self) -> None:
        """In a thread of its own."""
        client, self._client = self._client, None
        self._connection = self._caller = None
        if client is not None:
            client.stop()

    def _finish(self, closed: Closed) -> None:
        if self._closed:
            return
        self._closed = True
        self._flush()
        self._tell(closed)
        self._relay.close()
        self._end.set()

    # Progress

    def _note(self, **changes: int) -> None:
        """Tell it soon, together with what else happens in this turn of the loop."""
        if self._told is self._progress and not self._closed:
            self._loop.call_soon(self._flush)
        self._progress = replace(self._progress, **changes)

    def _flush(self) -> None:
        if self._told is not self._progress:
            self._told = self._progress
            self._tell(self._progress)


def _key(asdu: Asdu) -> Key:
    return asdu.type_id, asdu.common_address, asdu.objects[0].address
