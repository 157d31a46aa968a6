"""From a device to a wire: to one place, or to the two of a redundancy group."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104 import tls
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.connection import FAREWELL, Connection, Past
from pydatacoll.protocols.iec104.redundancy import Place, RedundancyGroup
from pydatacoll.protocols.iec104.wire import Receiver, Wire
from pydatacoll.resolver import in_words
from pydatacoll.sdk import DriverContext


async def open_wire(
    device: Iec104Device, context: DriverContext, receive: Receiver, past: Past | None = None
) -> Wire:
    """Connect within t0 and start data transfer, confirmed within t1.

    :param receive: may be called before the wire is here.
    :param past: what is known of the station from before; kept up to date.
    :raises DeviceOffline: when that fails; says in plain words why.
    """
    past = past or Past()
    names = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in device.places]
    places = [
        Place(name, partial(dial, device, context, past, place))
        for name, place in zip(names, device.places, strict=True)
    ]
    if len(places) > 1:
        return await RedundancyGroup.open(places, receive, context)
    connection = await places[0].dial(receive)
    try:
        await connection.start()
    except DeviceOffline as error:
        raise DeviceOffline(f"no data transfer with {names[0]}: {error}") from error
    return connection


async def dial(
    device: Iec104Device, context: DriverContext, past: Past, place: tuple[str, int], receive: Receiver
) -> Connection:
    """Connect to one place of a station within t0, with TLS when it has that; data transfer is not started.

    :raises DeviceOffline: when that fails; says in plain words why.
    """
    loop = asyncio.get_running_loop()
    host, port = place
    security = await tls.load(device, context.certificates) if device.tls else None
    expires = None if security is None else security.expires
    options: dict[str, Any] = {}
    if security is not None:
        options = {
            "ssl": security.context,
            "server_hostname": device.tls_name or host,
            "ssl_handshake_timeout": device.t0,
            "ssl_shutdown_timeout": FAREWELL,
        }

    async def open_to(address: str) -> Connection:
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(receive, device.parameters, context, past, expires=expires),
                address,
                port,
                **options,
            )
        except ssl.SSLError as error:
            raise ConnectionError(tls.in_words(error)) from error
        except ConnectionResetError as error:
            raise ConnectionError(tls.BROKEN_OFF if device.tls else in_words(error)) from error
        return connection

    return await context.connect(host, port, open_to, timeout=device.t0)
