"""A simulated Modbus TCP device in a process of its own; prints its port."""

import uvloop

from pydatacoll.testing.simulation import simulate


async def main() -> None:
    await simulate("127.0.0.1", 0, [1], 65536, "rotate", lambda port: print(f"port {port}", flush=True))


if __name__ == "__main__":
    uvloop.run(main())
