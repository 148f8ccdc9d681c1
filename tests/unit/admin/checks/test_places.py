"""Owners, modes, kinds, and room on disks."""

import os
import socket
from pathlib import Path

import pytest

from sendrecv.admin.checks.places import (
    FEW,
    LITTLE,
    NONE,
    PLACES,
    Disk,
    Place,
    There,
    judge,
    judge_room,
    look,
    room,
)
from tests.unit.only import only

TOKEN = Place("/etc/sendrecv/token", "a file", "root", "", 0o077, "it costs this")
RIGHT = There("a file", "root", "root", 0o600)
MUCH = Disk(LITTLE, FEW)


def found(place: Place, there: There | None) -> list[tuple[str, tuple[str, ...]]]:
    return [(it.code, it.commands) for it in judge(place, there)]


def test_as_it_must_be() -> None:
    assert found(TOKEN, RIGHT) == [] and found(TOKEN, None) == []


@pytest.mark.parametrize(
    ("there", "code", "command"),
    [
        (RIGHT.replace(kind="a directory"), "kind", "ls -ld /etc/sendrecv/token"),
        (RIGHT.replace(owner="eve"), "owner", "chown root /etc/sendrecv/token"),
        (RIGHT.replace(mode=0o644), "mode", "chmod g-r,o-r /etc/sendrecv/token"),
        (RIGHT.replace(mode=0o602), "mode", "chmod o-w /etc/sendrecv/token"),
    ],
)
def test_what_is_wrong(there: There, code: str, command: str) -> None:
    assert found(TOKEN, there) == [(code, (command,))]


def test_a_mode_that_is_too_little() -> None:
    place = TOKEN.replace(least=0o660)
    assert found(place, RIGHT) == [("mode", ("chmod g+rw /etc/sendrecv/token",))]


def test_who_can_do_what() -> None:
    for mode, words in ((0o640, "its group can read it"), (0o666, "and everybody can write it")):
        problem = only(judge(TOKEN, RIGHT.replace(mode=mode)))
        assert words in problem.text


def test_what_is_missing() -> None:
    place = TOKEN.replace(path="/var/lib/x", is_needed=True)
    assert found(place, None) == [
        ("missing", ("systemd-tmpfiles --create /usr/lib/tmpfiles.d/sendrecv.conf",))
    ]


def test_group() -> None:
    place = TOKEN.replace(group="adm")
    assert found(place, RIGHT) == [("owner", ("chown root:adm /etc/sendrecv/token",))]


def test_a_look_at_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o640)
    os.chmod(file, 0o640)
    there = look(str(file))
    assert there and (there.kind, there.mode) == ("a file", 0o640)
    assert look(str(tmp_path / "none")) is None and look(str(file / "below")) is None
    directory = look(str(tmp_path))
    assert directory and directory.kind == "a directory"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
        there = look(str(tmp_path / "socket"))
        assert there and there.kind == "a socket"
    os.mkfifo(tmp_path / "pipe")
    there = look(str(tmp_path / "pipe"))
    assert there and there.kind == "something else"


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (MUCH, []),
        (Disk(LITTLE, None), []),
        (Disk(LITTLE - 1, FEW), [("disk", False)]),
        (Disk(NONE - 1, FEW), [("disk", True)]),
        (Disk(LITTLE, FEW - 1), [("inodes", False)]),
        (Disk(LITTLE, 0), [("inodes", True)]),
        (Disk(0, 0), [("disk", True), ("inodes", True)]),
        (Disk(LITTLE, FEW, True), [("read-only", True)]),
    ],
)
def test_room(disk: Disk, expected: list[tuple[str, bool]]) -> None:
    assert [(it.code, it.is_error) for it in judge_room("/x", disk, "it stops")] == expected


def test_room_is_that_of_this_machine() -> None:
    assert room("/").free > 0
    with pytest.raises(OSError):
        room("/nonexistent")


def test_each_place_is_named_once_and_says_what_it_costs() -> None:
    paths = [one.path for one in PLACES]
    assert len(paths) == len({*paths}) > 8 and all(one.cost for one in PLACES)
