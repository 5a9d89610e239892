"""The load: clients that send photographs over loopback, each its next one as soon as the last is answered.

Run as a program, `python -m daco_serve.benchmark.serving.load URL CLIENTS SECONDS PHOTOGRAPH...`, it prints JSON, so
that its work is not the server's.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp

from daco_serve.benchmark.serving.timings import Timings

FIELD = "image"
TIMEOUT_SECONDS = 60


async def send(url: str, clients: int, seconds: float, photographs: list[bytes]) -> Timings:
    """So many clients at once for so many seconds, over kept connections; none waits before it asks again."""
    latencies: list[float] = []
    refused = errors = 0
    end = time.perf_counter() + seconds

    async def client(first: int, session: aiohttp.ClientSession) -> None:
        nonlocal refused, errors
        turn = first
        while (start := time.perf_counter()) < end:
            form = aiohttp.FormData()
            form.add_field(FIELD, photographs[turn % len(photographs)], filename="query.jpg", content_type="image/jpeg")
            turn += 1
            try:
                async with session.post(url, data=form) as response:
                    await response.read()
                    status = response.status
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            if status == 200:
                latencies.append(time.perf_counter() - start)
            elif status == 503:
                refused += 1
                await asyncio.sleep(0.05)
            else:
                errors += 1
                await asyncio.sleep(0.05)

    connections = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=connections, timeout=timeout) as session:
        await asyncio.gather(*(client(number * 5, session) for number in range(clients)))
    return Timings.of(latencies, time.perf_counter() - began, refused, errors)


def main() -> None:
    url, clients, seconds, *photographs = sys.argv[1:]
    contents = [Path(photograph).read_bytes() for photograph in photographs]
    print(json.dumps(asyncio.run(send(url, int(clients), float(seconds), contents)).as_dict()))


if __name__ == "__main__":
    main()
