"""`sendrecv accept`: what it leaves is what the sender's store finds, once."""

from pathlib import Path

import pytest

from sendrecv.admin import accept
from sendrecv.core.sender_events import Accepted
from sendrecv.errors import UsageError
from sendrecv.sender.store_file import StateFile


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFile:
    """Of an App called one, as its sender has it."""
    monkeypatch.setattr(accept, "RECORDS", tmp_path)
    store = StateFile(tmp_path / "one.record")
    store.acquire()
    return store


@pytest.mark.parametrize(
    ("option", "accepted"),
    [("--count=7", Accepted(count=7)), ("--epoch=9", Accepted(epoch=9))],
)
def test_what_a_person_accepts_is_found_once(
    store: StateFile, option: str, accepted: Accepted
) -> None:
    assert store.accepted() is None
    assert accept.main(["one", "--count=1"]) == accept.main(["one", option]) == 0
    assert store.accepted() == accepted
    assert store.accepted() is None
    assert [path.name for path in accept.RECORDS.iterdir()] == ["one.record"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "arguments",
    [
        ["one"],
        ["one", "--count", "x"],
        ["one", "--count=-1"],
        ["one", f"--count={2**63}"],
        ["one", "--count=1", "--epoch=1"],
        ["../one", "--count=1"],
    ],
)
def test_what_is_no_number_or_no_app(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        accept.main(arguments)
    assert [path.name for path in accept.RECORDS.iterdir()] == ["one.record"]


@pytest.mark.usefixtures("store")
def test_an_app_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="no App is called two: there is no .*two.record"):
        accept.main(["two", "--count=1"])


def test_a_link_in_the_senders_directory_is_not_followed(store: StateFile, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for name in ("one.record.accepted", "one.record.accepted.new"):
        (tmp_path / name).symlink_to(victim)
    accept.main(["one", "--count=7"])
    assert victim.read_text() == "kept" and store.accepted() == Accepted(count=7)


@pytest.mark.parametrize(
    "text", ["", "count", "count x", "last 7", "count 7 8", "count -7", "\xff"]
)
def test_what_else_lies_there_accepts_nothing(store: StateFile, text: str) -> None:
    (accept.RECORDS / "one.record.accepted").write_text(text)
    assert store.accepted() is None
