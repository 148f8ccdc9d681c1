"""Each in an interpreter of its own: what is imported can only be imported once."""

import subprocess
import sys

START = (
    "import sys\nfrom sendrecv.receiver import light_server\n"
    "light_server.import_libraries()\nfrom sendrecv.receiver import main\n"
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_receiver_does_without_the_clients_modules() -> None:
    code = (
        START + "print(main.Gateway, [n for n in ('requests', 'websocket') if n in sys.modules])\n"
        "import requests, websocket; print(requests.get.__name__, websocket.WebSocket.__name__)"
    )
    assert run(code).splitlines() == [
        "<class 'sendrecv.receiver.gateway.Gateway'> []",
        "get WebSocket",
    ]


USED = (
    START + "{}"
    "absent = (light_server._NotImported, light_server._Absent)\n"
    "def is_absent(it): return it is absent[0] or isinstance(it, absent[1])\n"
    "print(sorted({{name for name, module in [*sys.modules.items()] for it in "
    "[*vars(module).values()] if is_absent(it) or isinstance(it, type) "
    "and absent[0] in it.__mro__ and it is not absent[0]}}"
    " - {{'sendrecv.receiver.light_server'}}))\n"
)


def test_of_what_the_receiver_uses_nothing_has_a_part_of_aiohttps_client() -> None:
    """Else it would fail when that is used. aiohttp's __init__ only passes the names on."""
    client = "from aiohttp.client import ClientSession; print(ClientSession.__name__)"
    assert run(USED.format("") + client).splitlines() == ["['aiohttp']", "ClientSession"]
    planted = "class Planted(sys.modules['aiohttp'].ClientSession): pass\n"
    assert "'__main__'" in run(USED.format(planted))
