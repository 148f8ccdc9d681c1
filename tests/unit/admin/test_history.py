"""`sendrecv history`: what it prints, and which names it takes."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sendrecv.admin import history
from sendrecv.admin.takeovers import Takeover
from sendrecv.errors import DONE, UNKNOWN
from tests.unit.admin.journals import ENTRY, EVENT, asked, does

BEGUN = Takeover(
    *(EVENT.when - 60, "app", "one", "", "main", "", ""),
    *("this host had no record of the App", "new", None, 1, 0, ""),
)


@pytest.fixture(autouse=True)
def fixture_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are those of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_narrow_table() -> None:
    assert list(history.lines([BEGUN, EVENT], 80)) == [
        "WHEN                 APP  FROM  TO        COUNT  SILENCE  EPOCH",
        "    WHY",
        "2026-11-27 07:44:01  one  -     main      0      -        1",
        "    this host had no record of the App",
        "2026-11-27 07:45:01  one  main  failover  13     0.3 s    2",
        "    main was killed by signal 9 (SIGKILL)",
    ]


def test_a_wide_table() -> None:
    assert list(history.lines([EVENT], 110)) == [
        "WHEN                 APP  FROM  TO        COUNT  SILENCE  EPOCH  WHY",
        "2026-11-27 07:45:01  one  main  failover  13     0.3 s    2      main was killed by signal"
        " 9 (SIGKILL)",
    ]


@pytest.mark.parametrize("width", [80, 81, 100, 120, 200])
def test_no_line_is_longer_than_the_table_is_wide(width: int) -> None:
    events = [EVENT.__class__(**{**EVENT.__dict__, "why": "because of it, " * 20})] * 2
    table = list(history.lines(events, width))
    assert max(map(len, table)) <= width and " ".join(table).count("because of") == 40


@pytest.mark.parametrize(
    ("node", "host", "shown"),
    [("main", "", "main"), ("web1", "web1", "web1"), ("web1-failover", "web1", "web1-failover"),
     ("x", "web1", "x (web1)"), ("", "", "-")],
)  # fmt: skip
def test_a_node_of_several_hosts(node: str, host: str, shown: str) -> None:
    values = {**EVENT.__dict__, "from_node": node, "from_host": host}
    assert f"  {shown}  " in list(history.lines([Takeover(**values)], 80))[2]


def test_json(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ENTRY | {"SENDRECV_FROM": "failover"}
    does(journal, f"cat << 'END'\n{json.dumps(start)}\n{json.dumps(ENTRY)}\nEND")
    assert history.main(["--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == 1
    assert [event["event"] for event in said["events"]] == ["start", "takeover"]
    assert said["events"][1] == {
        "event": "takeover",
        "when": EVENT.when,
        "instance": "one",
        "appID": "app",
        "fromNode": "main",
        "toNode": "failover",
        "fromHost": None,
        "toHost": None,
        "why": "main was killed by signal 9 (SIGKILL)",
        "code": "signal",
        "reason": None,
        "silence": EVENT.silence,
        "count": 13,
        "epoch": 2,
    }


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("names", [[], ["one"], ["sender@one"], ["sendrecv@one.target", "one"]])
def test_a_table(names: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main(names) == DONE
    assert "  failover  13     0.3 s    2" in capsys.readouterr().out


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other", "no App is called other"),
        ("One", "no App is called One; there is one"),
        ("sender@other.service", "no App is called other"),
        ("a b", "no App is called a b"),
        ("../one", "no App is called ../one"),
    ],
)
def test_an_app_of_which_there_is_no_trace(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history.main(["one", name]) == UNKNOWN
    shown = capsys.readouterr()
    assert shown.err == f"sendrecv: {said}\n"


def test_nothing(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    does(journal, "echo '-- No entries --'")
    assert history.main(["--since", "-1h"]) == DONE
    assert "--since=-1h" in asked(journal)
    assert capsys.readouterr().out == "The journal has no takeovers and no starts of that time\n"
