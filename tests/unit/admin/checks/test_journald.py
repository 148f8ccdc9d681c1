"""journald's settings, as systemd-analyze prints them, and what they mean for counts."""

from collections.abc import Mapping

import pytest

from sendrecv.admin.checks.journald import (
    JournalStorage,
    Setting,
    judge,
    limit,
    parse,
    seconds,
    size,
)
from sendrecv.admin.checks.places import Disk
from tests.unit.only import only

GB = 1 << 30
ROOMY = Disk(50 * GB, 1_000_000)
PRINTED = """\
# /etc/systemd/journald.conf
# See journald.conf(5)
[Journal]
#Storage=auto
Storage=volatile
SystemMaxUse=1G

# /usr/lib/systemd/journald.conf.d/syslog.conf
[Journal]
ForwardToSyslog=yes
Storage = persistent
[Other]
Storage=none

# /etc/systemd/journald.conf.d/own.conf
[Journal]
SystemMaxUse=
"""


def test_the_last_setting_counts_and_an_empty_one_is_none() -> None:
    assert parse(PRINTED) == {
        "Storage": Setting("persistent", "/usr/lib/systemd/journald.conf.d/syslog.conf"),
        "ForwardToSyslog": Setting("yes", "/usr/lib/systemd/journald.conf.d/syslog.conf"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10M", 10 << 20), ("1.5G", 1 << 30), ("0", 0), ("5 K", 5120), ("10%", None), ("x", None)],
)
def test_sizes(text: str, expected: int | None) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("1h 30min", 5400.0),
        ("2day", 172_800.0),
        ("500ms", 0.5),
        ("1month", 2_629_800.0),
        ("x", None),
        ("5 parsecs", None),
        ("", None),
        ("-1", None),
    ],
)
def test_times(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


def journal(
    values: Mapping[str, str] | None = None, *, is_kept: bool = True, disk: Disk = ROOMY
) -> JournalStorage:
    settings = {
        key: Setting(value, "/etc/systemd/journald.conf") for key, value in (values or {}).items()
    }
    return JournalStorage(settings, is_kept, 100 << 20, disk)


def found(one: JournalStorage, rate: float | None = 1.0) -> list[tuple[str, bool]]:
    return [(it.code, it.is_error) for it in judge(one, rate)]


def test_a_journal_that_keeps_what_it_should() -> None:
    assert found(journal()) == [] and found(journal(), None) == []
    assert found(journal({"MaxLevelStore": "info", "Storage": "persistent"})) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Storage": "none"}, [("journal-none", True)]),
        ({"Storage": "volatile"}, [("journal-volatile", False)]),
        ({"MaxLevelStore": "notice"}, [("journal-level", True)]),
        ({"MaxLevelStore": "5"}, [("journal-level", True)]),
        ({"RateLimitBurst": "50"}, [("journal-rate-limit", False)]),
        ({"RateLimitBurst": "50", "RateLimitIntervalSec": "0"}, []),
        ({"LineMax": "79"}, [("journal-line", True)]),
        ({"MaxRetentionSec": "2h"}, [("journal-retention", False)]),
        ({"MaxRetentionSec": "1month"}, []),
        ({"SystemMaxUse": "16M"}, [("journal-size", False)]),
    ],
)
def test_what_is_wrong(values: dict[str, str], expected: list[tuple[str, bool]]) -> None:
    assert found(journal(values)) == expected


def test_without_a_directory_it_is_in_memory() -> None:
    assert found(journal(is_kept=False)) == [("journal-volatile", False)]
    assert found(journal({"Storage": "persistent"}, is_kept=False)) == []


def test_the_rate_decides_whether_the_size_will_do() -> None:
    assert found(journal(), 1.0) == [] and found(journal(), 1000.0) == [("journal-size", False)]
    assert found(journal({"SystemMaxUse": "16M"}), None) == []
    problem = only(judge(journal({"SystemMaxUse": "16M"}), 1.0))
    assert "16 MB" in problem.text and "SystemMaxUse=1G" in problem.commands[1]


def test_the_narrowest_limit() -> None:
    assert limit(journal({"SystemMaxUse": "1G"}))[0] == GB
    assert limit(journal())[0] == 4 * GB  # 10 % of the disk, and at most that
    narrow = Disk(2 * GB, None)
    assert limit(journal({"SystemKeepFree": "2G"}, disk=narrow))[0] < 200 << 20
    assert limit(journal({"SystemMaxUse": "10G"}, disk=narrow))[0] < 2 * GB


def test_what_to_type_is_read_after_all_others() -> None:
    settings = {"Storage": Setting("none", "/etc/systemd/journald.conf.d/zz.conf")}
    problem = only(judge(JournalStorage(settings, True, None, ROOMY), None))
    assert problem.commands[1].endswith(">> /etc/systemd/journald.conf.d/zz.conf")
    problem = only(judge(journal({"Storage": "none"}), None))
    assert problem.commands[1].endswith(">> /etc/systemd/journald.conf.d/sendrecv.conf")
