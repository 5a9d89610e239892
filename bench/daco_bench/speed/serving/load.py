"""The load generator: clients that send photographs over loopback, each sending the next after the last answer.

Run as a program, `python -m daco_bench.speed.serving.load URL CLIENTS SECONDS PHOTOGRAPH...`, it prints JSON, so
its own CPU time is not counted as the server's.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from uuid import uuid4

import aiohttp

from daco_bench.speed.serving.timings import ClientTimings

FIELD = "image"
BOUNDARY = uuid4().hex
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
TIMEOUT_SECONDS = 60


async def send(url: str, clients: int, seconds: float, photographs: list[bytes]) -> ClientTimings:
    """Runs `clients` clients for `seconds`, over persistent connections; none pauses between requests."""
    forms = [_form(photograph) for photograph in photographs]
    latencies: list[float] = []
    refused = errors = 0
    end = time.perf_counter() + seconds

    async def client(first: int, session: aiohttp.ClientSession) -> None:
        nonlocal refused, errors
        turn = first
        while (start := time.perf_counter()) < end:
            form = forms[turn % len(forms)]
            turn += 1
            try:
                async with session.post(url, data=form, headers=FORM) as response:
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
    return ClientTimings.of(latencies, time.perf_counter() - began, refused, errors)


def _form(photograph: bytes) -> bytes:
    """The body of a request, made only once, because the load generator and the server share the cores."""
    disposition = f'Content-Disposition: form-data; name="{FIELD}"; filename="query.jpg"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    return head.encode() + photograph + f"\r\n--{BOUNDARY}--\r\n".encode()


def main() -> None:
    url, clients, seconds, *photographs = sys.argv[1:]
    contents = [Path(photograph).read_bytes() for photograph in photographs]
    print(json.dumps(asyncio.run(send(url, int(clients), float(seconds), contents)).as_dict()))


if __name__ == "__main__":
    main()
