"""The light copy of http.client reads what the real one reads, and imports no email."""

import http.client
import io
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.patching import Library
from sendrecv.sender import light_http

COPY = light_http.http_client()
REST = b'7\r\n{"a": 1\r\n1\r\n}\r\n0\r\n\r\n'
HEADS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "in another case": b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:5\r\n\r\n",
    "twice": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    "of 1.0": b"HTTP/1.0 200 OK\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "continued": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "refused": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\n",
    "no status": b"HTTP/1.1 what\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "long line": b"HTTP/1.1 200 OK\r\nX: " + 70_000 * b"x" + b"\r\n\r\n",
    "many lines": b"HTTP/1.1 200 OK\r\n" + 200 * b"X: x\r\n" + b"\r\n",
    "bytes": b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Length: 5\r\n\r\n",
}
FIELDS = st.tuples(
    st.sampled_from(["Content-Length", "content-length", "Connection", "Transfer-Encoding", "X"]),
    st.sampled_from(["0", "5", "-1", "5 ", "x", "close", "keep-alive", "chunked", "Chunked", ""]),
)


class Given:
    """A socket with an answer in it."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def makefile(self, _mode: str) -> io.BytesIO:
        """What is read from it."""
        return io.BytesIO(self.answer)


def reads(module: ModuleType | Any, answer: bytes) -> object:
    """What comes of an answer: status, whether the connection ends, body; or the error's name."""
    response = module.HTTPResponse(Given(answer), method="POST")
    try:
        response.begin()
        return response.status, response.will_close, response.read()
    except module.HTTPException as error:
        return type(error).__name__


@pytest.mark.parametrize("name", HEADS)
def test_an_answer_is_what_the_real_one_makes_of_it(name: str) -> None:
    assert reads(COPY, HEADS[name] + REST) == reads(http.client, HEADS[name] + REST)


@given(st.lists(FIELDS, max_size=4))
def test_so_is_any_head(fields: list[tuple[str, str]]) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    answer = f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + REST
    assert reads(COPY, answer) == reads(http.client, answer)


@pytest.mark.parametrize("line", ["no colon", " goes: on", ": no name", "Space : 1", "\tX: 1"])
def test_what_is_no_field_is_refused(line: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{line}\r\n\r\n".encode() + REST
    assert reads(COPY, answer) == "HTTPException"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_client_of_etcd_imports_no_email() -> None:
    code = "import sys, sendrecv.sender.several_hosts; print([*{*sys.modules} & {%s}])"
    assert run(code % "'email', 'email.parser', 'http', 'http.client', 'ssl', 'calendar'") == "[]"


def test_others_have_the_real_one() -> None:
    code = (
        "import sendrecv.sender.several_hosts, http.client, email.message;"
        "print(http.HTTPStatus.NOT_FOUND.phrase, http.client.responses[404],"
        " issubclass(http.client.HTTPMessage, email.message.Message))"
    )
    assert run(code) == "Not Found Not Found True"


@pytest.mark.parametrize("lost", ["function", "uses"])
def test_a_python_that_has_changed_gives_one_line_and_the_real_one(
    lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def misfit(*_: object) -> object:
        raise light_http.patching.Misfit("no function http.client._read_headers")

    monkeypatch.setattr(light_http.patching, lost, misfit)
    monkeypatch.setattr(Library, "report", lambda _, error, otherwise: said.append(str(error)))
    assert light_http.http_client() is http.client
    assert said == ["no function http.client._read_headers"]
