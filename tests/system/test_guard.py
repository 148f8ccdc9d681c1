"""What the guard does by the clock does not depend on how often its timer runs it."""

from tests.lab.machine import Entry, Machine
from tests.system.app import App

FAILED = "MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c"
"""SD_MESSAGE_UNIT_FAILURE_RESULT: a unit has failed."""
EACH_SECOND = "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\n"
LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', 3000)); time.sleep(9999)"


def _next_failure(machine: Machine, after: str) -> Entry:
    """The first failure of receiver.socket after that cursor."""
    matches = (FAILED, "_PID=1", "UNIT=receiver.socket")
    return machine.wait_entry(lambda _: True, *matches, after=after, what="a failure")


def test_a_port_that_is_taken_is_tried_again_after_half_a_minute(machine: Machine) -> None:
    """Each try is four lines in the journal. Here the guard runs each second."""
    machine.write("/run/systemd/system/sendrecv-guard.timer.d/often.conf", EACH_SECOND)
    machine.run("systemctl daemon-reload; systemctl stop receiver.socket")
    machine.run(["systemd-run", "--unit=other", "--quiet", "python3", "-c", LISTEN])
    machine.wait_until(lambda: "3000" in machine.run("ss -Hltn").stdout, "the port is taken")
    start = machine.cursor()
    App(machine, "one").systemctl("start", "sender@one")
    first = _next_failure(machine, start)  # the sender wants the socket
    second = _next_failure(machine, first["__CURSOR"])
    assert "*:*:* " in machine.show("sendrecv-guard.timer", "TimersCalendar")
    gap = int(second["__MONOTONIC_TIMESTAMP"]) - int(first["__MONOTONIC_TIMESTAMP"])
    assert gap >= 30_000_000
