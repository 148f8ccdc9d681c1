"""The receiver serves each socket that it is given: TCP, IPv6, Unix."""

import contextlib
import socket
from pathlib import Path

from tests.lab.reception import TOKEN, Reception
from tests.peers.peer import Address, Peer, auth, payload


def counted(address: Address, app_id: str) -> object:
    """What the receiver says there to the first count of that App."""
    with Peer(address) as peer:
        assert peer.open() == 101
        assert "sid" in (peer.connect(auth(app_id, TOKEN)) or {})
        return peer.call("count", payload(0, app_id))


def test_each_socket_is_served(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with contextlib.ExitStack() as held:
        unix = held.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(path)
        unix.listen()
        six = held.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        four = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        reception = held.enter_context(Reception(tmp_path, more=[unix, six, four]))
        addresses: dict[str, Address] = {
            "first": reception.address,
            "unix": path,
            "six": six.getsockname()[:2],
            "four": four.getsockname(),
        }
        for name, address in addresses.items():
            accepted = {"status": "accepted", "last": 0}
            assert reception.do(counted, address, name) == accepted, name
        printed = reception.printed()
    assert printed == [f'{{"count": 0, "appID": "{name}", "nodeID": "main"}}' for name in addresses]
