"""A client with many requests does not delay the requests of others."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daco_serve.engine.fair_turns import FairTurns


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


class Bench:
    """Work that goes on until it is told to end, and the order in which it began."""

    def __init__(self, threads: int) -> None:
        self.turns = FairTurns(threads)
        self.begun: list[str] = []
        self.go_on = threading.Semaphore(0)

    def ask(self, client: str) -> "asyncio.Task[str]":
        def work() -> str:
            self.begun.append(client)
            assert self.go_on.acquire(timeout=20)
            return client

        return asyncio.create_task(self.turns.run(client, work))

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.begun) < count:
                await asyncio.sleep(0.002)
        await asyncio.sleep(0.02)
        assert len(self.begun) == count


@asynccontextmanager
async def bench(threads: int) -> AsyncIterator[Bench]:
    made = Bench(threads)
    try:
        yield made
    finally:
        made.go_on.release(1000)
        made.turns.close()


async def test_another_client_starts_at_once_while_one_client_uses_all_threads() -> None:
    async with bench(2) as found:
        busy = [found.ask("busy") for _ in range(10)]
        await found.until_begun(2)
        calm = found.ask("calm")
        await found.until_begun(3)
        assert found.begun == ["busy", "busy", "calm"]
        found.go_on.release(11)
        assert [await task for task in (*busy, calm)] == ["busy"] * 10 + ["calm"]


async def test_clients_take_turns() -> None:
    async with bench(1) as found:
        tasks = [found.ask(client) for client in ["a"] * 4 + ["b"] * 4 + ["c"] * 2]
        for done in range(len(tasks)):
            await found.until_begun(min(len(tasks), done + 2 if done < len(tasks) - 2 else len(tasks)))
            found.go_on.release()
        await asyncio.gather(*tasks)
        assert found.begun[:6].count("c") == 2 and found.begun[:6].count("b") == 2


async def test_cancelled_work_keeps_its_thread_until_it_ends_and_gives_up_its_turn() -> None:
    async with bench(1) as found:
        first, second = found.ask("busy"), found.ask("busy")
        await found.until_begun(1)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        third = found.ask("busy")
        await found.until_begun(1)  # a thread cannot be stopped: it is still at the first
        found.go_on.release(2)
        assert await third == "busy"
        assert found.begun == ["busy"] * 2


async def test_an_error_gives_the_turn_back() -> None:
    turns = FairTurns(1)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await turns.run("a", lambda: 1 // 0)
    assert await turns.run("a", lambda: 7) == 7
    turns.close()


async def test_a_client_that_leaves_while_it_waits_is_forgotten() -> None:
    async with bench(1) as found:
        first, other = found.ask("calm"), found.ask("other")
        await found.until_begun(2)
        second, newcomer = found.ask("calm"), found.ask("newcomer")
        await asyncio.sleep(0.02)
        found.go_on.release()
        assert await first == "calm"
        await found.until_begun(3)  # the newcomer, who had no turn yet
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        found.go_on.release(2)
        await asyncio.gather(other, newcomer)
        await asyncio.sleep(0.02)
        assert found.turns._last == {}
