"""Print values as they change, until Ctrl+C; survives restarts of the server: python watch.py URL [GLOB ...]"""

import asyncio
import json
import sys

import aiohttp

TOKEN = ""  # an access token, when the server has tokens


async def listen(session: aiohttp.ClientSession, url: str, globs: list[str], seen: dict) -> None:
    """One connection, from the subscription to its end."""
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    async with session.ws_connect(f"{url}/api/v2/live", headers=headers, max_msg_size=0) as ws:
        await ws.send_str(json.dumps({"op": "sub", "id": "watch", "globs": globs, "rate": 250, **seen}))
        while True:
            # there is a message every second: silence means that the values shown are old
            message = json.loads(await ws.receive_str(timeout=3))
            if message.get("op") == "error":
                raise SystemExit(message["detail"])
            for point, time, value, quality in message.get("c", []):
                print(time, point, value, quality, flush=True)
            if message.get("op") == "snapshot":
                seen["epoch"] = message["epoch"]
            if "seq" in message and not message.get("more"):
                seen["since"] = message["seq"]


async def main(url: str, globs: list[str]) -> None:
    seen: dict = {}
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                await listen(session, url, globs, seen)
            except (TimeoutError, aiohttp.ClientError, TypeError) as error:
                print(f"connection lost ({error}), values are frozen", file=sys.stderr, flush=True)
                await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:] or ["*"]))
