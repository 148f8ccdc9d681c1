"""The port for scrapers: one request, and limits on all that a peer may do."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from sendrecv.admin.metrics import scrapes
from sendrecv.admin.metrics.scrapes import HEAD, PEERS, Scrapes, status_of
from sendrecv.errors import UsageError

TEXT = "# HELP a b.\n" * 3
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def served(make: Callable[[], str] = lambda: TEXT) -> AsyncIterator[tuple[Scrapes, int]]:
    one = Scrapes(make)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, limit=HEAD)
    async with server:
        yield one, server.sockets[0].getsockname()[1]


async def ask(port: int, request: bytes = GET) -> bytes:
    """All that comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def answer(request: bytes = GET, make: Callable[[], str] = lambda: TEXT) -> bytes:
    async def once() -> bytes:
        async with served(make) as (_, port):
            return await ask(port, request)

    return asyncio.run(once())


def test_the_metrics() -> None:
    head, _, body = answer().partition(b"\r\n\r\n")
    assert body.decode() == TEXT
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK" and f"Content-Length: {len(TEXT)}" in lines
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in lines


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics?name[]=x HTTP/1.0", 200),
        ("GET / HTTP/1.1", 404),
        ("GET /metrics/ HTTP/1.1", 404),
        ("GET /../etc/passwd HTTP/1.1", 404),
        ("GET http://a/metrics HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("HEAD /metrics HTTP/1.1", 405),
        ("GET /metrics", 400),
        ("GET  /metrics HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
        ("", 400),
    ],
)
def test_no_other_request(line: str, status: int) -> None:
    request = f"{line}\r\n\r\n".encode()
    assert status_of(request) == status
    said = answer(request)
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert (TEXT.encode() in said) == (status == 200)
    if line:
        assert line.split()[-1].encode() not in said.partition(b"\r\n")[2]  # no echo


def test_a_request_that_is_too_long() -> None:
    assert answer(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 3 * HEAD)[:12] in {b"HTTP/1.1 400", b""}


def test_who_sends_no_request_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "REQUEST", 0.1)
    assert answer(b"") == b"" and answer(b"GET /metrics HT") == b""


def test_who_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "ANSWER", 0.3)

    async def deaf() -> None:
        async with served(lambda: "x" * 50_000_000) as (one, port):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.sendall(GET)
                while not one._peers:  # pylint: disable=protected-access
                    await asyncio.sleep(0.01)
                while one._peers:  # pylint: disable=protected-access
                    await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(deaf(), 60))


def test_peers_that_say_nothing_keep_nobody_out() -> None:
    async def crowd() -> bytes:
        async with served() as (_, port):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * PEERS)]
            try:
                return await ask(port)
            finally:
                for _, writer in silent:
                    writer.close()

    assert TEXT.encode() in asyncio.run(asyncio.wait_for(crowd(), 60))


def test_no_more_peers_than_that() -> None:
    """All of them have asked, and wait for the text."""
    ready = threading.Event()
    most = 0

    def make() -> str:
        ready.wait(60)
        return TEXT

    async def crowd() -> list[bytes]:
        nonlocal most
        async with served(make) as (one, port):
            asking = [asyncio.create_task(ask(port)) for _ in range(2 * PEERS)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            while sum(task.done() for task in asking) < PEERS:
                await asyncio.sleep(0.01)
            most = len(one._peers)  # pylint: disable=protected-access
            ready.set()
            return await asyncio.gather(*asking)

    said = asyncio.run(asyncio.wait_for(crowd(), 60))
    assert most == PEERS
    assert sorted(TEXT.encode() in one for one in said) == [False] * PEERS + [True] * PEERS


def test_the_facts_are_read_once_for_all_who_ask() -> None:
    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        return TEXT

    async def crowd() -> None:
        async with served(make) as (_, port):
            await asyncio.gather(*(ask(port) for _ in range(PEERS)))
            await ask(port)

    asyncio.run(crowd())
    assert made == 1


def test_after_a_while_they_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "FRESH", 0.0)
    texts = iter(["old", "new"])

    async def twice() -> list[bytes]:
        async with served(lambda: next(texts)) as (_, port):
            return [await ask(port), await ask(port)]

    assert [said[-3:] for said in asyncio.run(twice())] == [b"old", b"new"]


def test_a_failure_is_said_and_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scrapes, "FRESH", 0.0)
    results = iter([OSError("secret"), TEXT])

    def make() -> str:
        result = next(results)
        if isinstance(result, OSError):
            raise result
        return str(result)

    async def twice() -> list[bytes]:
        async with served(make) as (_, port):
            return [await ask(port), await ask(port)]

    failed, done = asyncio.run(twice())
    assert failed.startswith(b"HTTP/1.1 500 ") and b"secret" not in failed
    assert TEXT.encode() in done
    assert "metrics: OSError: secret" in capsys.readouterr().err


def test_a_peer_that_has_waited_too_long_does_not_end_the_reading_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = threading.Event()

    async def two() -> list[bytes]:
        async with served(lambda: str(ready.wait(60))) as (one, port):
            monkeypatch.setattr(scrapes, "ANSWER", 0.1)
            first = asyncio.create_task(ask(port))
            while not one._text:  # pylint: disable=protected-access
                await asyncio.sleep(0.01)
            monkeypatch.setattr(scrapes, "ANSWER", 60)
            second = asyncio.create_task(ask(port))
            said = [await first]
            ready.set()
            return [*said, await second]

    first, second = asyncio.run(asyncio.wait_for(two(), 60))
    assert first == b"" and second.endswith(b"True")


def test_idle() -> None:
    async def idle() -> None:
        async with served() as (one, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            ending = asyncio.create_task(one.over(0.2))
            await asyncio.sleep(0.5)
            assert not ending.done()
            writer.close()
            await ending
            assert await reader.read() == b""

    asyncio.run(asyncio.wait_for(idle(), 60))


def test_a_reading_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is connected."""
    monkeypatch.setattr(scrapes, "STUCK", 0.1)
    ready = threading.Event()

    async def stuck() -> tuple[bool, bool]:
        async with served(lambda: str(ready.wait(60))) as (one, port):
            asking = asyncio.create_task(ask(port))
            before = one.is_stuck()
            await one.over(300)
            found = one.is_stuck()
            ready.set()
            await asking
            return before, found

    assert asyncio.run(asyncio.wait_for(stuck(), 60)) == (False, True)


def test_by_hand_there_is_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with pytest.raises(UsageError, match="systemctl start sendrecv-metrics.socket"):
        scrapes.serve(lambda: TEXT)
