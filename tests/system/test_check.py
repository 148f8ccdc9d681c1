"""`sendrecv check` as it is typed: each thing that is planted is found, and gone when undone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sendrecv.core.env_file import parse
from tests.lab.env_files import ODD
from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.trouble import Said

SETTINGS = "/etc/sendrecv/one.env"
OWN = "/etc/systemd/system/sender@one.service.d/own.conf"
OTHER = "/etc/systemd/system/sender-failover@one.service.d/own.conf"
JOURNALD = "/etc/systemd/journald.conf.d/own.conf"
COPY = "/etc/systemd/system/sender-failover@.service"
RELOAD = "systemctl daemon-reload"


@pytest.fixture(scope="module", name="app")
def fixture_app(release: str, installed_disk: Path) -> Iterator[App]:
    """An App that is enabled and counts, on one machine for all tests."""
    with Machine(release, layer=installed_disk) as machine:
        assert "Nothing is wrong" in machine.run("sendrecv check").stdout
        app = App(machine, "one", "SENDRECV_INTERVAL=1")
        app.start()
        machine.run("systemctl enable sendrecv@one.target")
        yield app


@pytest.fixture(name="host")
def fixture_host(app: App) -> Machine:
    return app.machine


class Planted(NamedTuple):
    """Something wrong. do, undo: what is typed."""

    code: str
    is_error: bool
    do: str
    undo: str
    words: str = ""


def written(path: str, text: str) -> str:
    return f"install -d $(dirname {path}); printf '{text}' > {path}; {RELOAD}"


def of_unit(code: str, is_error: bool, line: str, words: str) -> Planted:
    """A drop-in of main's."""
    return Planted(
        code, is_error, written(OWN, f"[Service]\\n{line}\\n"), f"rm {OWN}; {RELOAD}", words
    )


ROOT_UNIT = "sendrecv-root.service"


def of_journald(code: str, is_error: bool, line: str) -> Planted:
    return Planted(
        code, is_error, written(JOURNALD, f"[Journal]\\n{line}\\n"), f"rm {JOURNALD}", "own.conf"
    )


def of_settings(code: str, is_error: bool, line: str, words: str) -> Planted:
    more = f"cp -p {SETTINGS} /root/; printf '{line}\\n' >> {SETTINGS}"
    return Planted(code, is_error, more, f"cp -p /root/one.env {SETTINGS}", words)


PLANTED = (
    of_unit("unit-edited", True, "Restart=on-failure", f"Restart=on-failure in {OWN}"),
    of_unit("unit-edited", True, "Type=simple", f"Type=simple in {OWN}"),
    of_unit("unit-watchdog", True, "WatchdogSec=0", f"no WatchdogSec= in {OWN}"),
    of_unit("unit-watchdog", False, "WatchdogSec=5s", "WatchdogSec=5.0 s, and not 1.3 s"),
    of_unit("unit-command", True, "ExecStart=\\nExecStart=/bin/sleep 99", "runs /bin/sleep 99"),
    of_unit("setting", True, "Environment=SENDRECV_LEASE=x", f"{OWN}, line 2: SENDRECV_LEASE='x'"),
    of_unit("setting-older", False, "Environment=SENDRECV_CA=/etc/hostname", "now '/etc/hostname'"),
    Planted(
        "unit-edited",
        True,
        f"sed /^Conflicts/d /usr/lib/systemd/system/sender-failover@.service > {COPY}; {RELOAD}",
        f"rm {COPY}; {RELOAD}",
        f"has no Conflicts=sender@one.service in {COPY}",
    ),
    Planted(
        "unit-copied",
        False,
        f"cp /usr/lib/systemd/system/sender-failover@.service {COPY}; {RELOAD}",
        f"rm {COPY}; {RELOAD}",
        f"{COPY} is used",
    ),
    Planted(
        "unit-drop-in",
        True,
        f"d=$(dirname {OTHER}); install -d $d; ln -s /dev/null $d/10-sender.conf; {RELOAD}",
        f"rm $(dirname {OTHER})/10-sender.conf; {RELOAD}",
        "sender-failover@one.service does not have",
    ),
    Planted(
        "unit-requires", True, written(OTHER, "[Unit]\\nBindsTo=time-set.target\\n"),
        f"rm {OTHER}; {RELOAD}", f"requires time-set.target in {OTHER}",
    ),
    Planted(
        "unit-old", False, written(OTHER, "[Unit]\\n").replace(RELOAD, f"touch -d +1min {OTHER}"),
        f"rm {OTHER}; {RELOAD}", "have changed since systemd read them",
    ),
    Planted(
        "unit-inactive", True, "systemctl stop sendrecv-guard.timer",
        "systemctl start sendrecv-guard.timer", "sendrecv-guard.timer is inactive",
    ),
    Planted(
        "unit-masked", False, "systemctl mask sendrecv-tls.timer",
        "systemctl unmask sendrecv-tls.timer", "sendrecv-tls.timer is masked",
    ),
    Planted(
        "unit-masked", True, f"systemctl mask --runtime {ROOT_UNIT}",
        f"systemctl unmask --runtime {ROOT_UNIT}", f"{ROOT_UNIT} is masked",
    ),
    Planted(
        "not-at-boot", False, "systemctl disable sendrecv@one.target",
        "systemctl enable sendrecv@one.target", "App one is not enabled",
    ),
    of_settings("setting-ignored", False, "SENDRCV_INTERVAL=2", f"{SETTINGS}, line 2: "),
    of_settings("setting-ignored", False, "B: 2", f"{SETTINGS}, line 2: "),
    of_settings("setting-ignored", False, "A=\\377", "nothing of the whole file is read"),
    of_settings("setting", True, "SENDRECV_INTERVAL=x", f"{SETTINGS}, line 2: SENDRECV_INTERVAL"),
    of_settings("setting-older", False, "SENDRECV_INTERVAL=3", "SENDRECV_INTERVAL '1', now '3'"),
    of_settings("no-network", True, "SENDRECV_URL=https://a.example", "has SENDRECV_URL, and no"),
    Planted(
        "setting-twice", True, "echo SENDRECV_APP_ID=one > /etc/sendrecv/two.env",
        "rm /etc/sendrecv/two.env", "have the same appID one",
    ),
    Planted("mode", True, "chmod 644 /etc/sendrecv/token", "chmod 600 /etc/sendrecv/token", "read"),
    Planted("mode", True, f"chmod o+w {SETTINGS}", f"chmod o-w {SETTINGS}", "everybody can write"),
    Planted(
        "owner", True, "chown nobody /run/sendrecv-socket", "chown root /run/sendrecv-socket",
        "belongs to user nobody",
    ),
    Planted(
        "token-file", True, "cp -p /etc/sendrecv/token /root; echo secret > /etc/sendrecv/token",
        "cp -p /root/token /etc/sendrecv/", "fewer than 20",
    ),
    of_journald("journal-none", True, "Storage=none"),
    of_journald("journal-volatile", False, "Storage=volatile"),
    of_journald("journal-level", True, "MaxLevelStore=warning"),
    of_journald("journal-line", True, "LineMax=100"),
    of_journald("journal-retention", False, "MaxRetentionSec=1h"),
    of_journald("journal-size", False, "SystemMaxUse=16M"),
)  # fmt: skip


def checked(host: Machine, arguments: str = "", before: str = "") -> dict[str, Any]:
    done = host.run(f"{before} sendrecv check --json {arguments}", check=False)
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["exitStatus"] == done.returncode and not done.stderr
    return said


def problems(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(it["code"], it["text"]) for it in said["problems"]]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.code}-{one.words[:20]}")
def test_what_is_planted_is_found(host: Machine, planted: Planted) -> None:
    host.run(planted.do)
    try:
        said = checked(host)
    finally:
        host.run(planted.undo)
    found = [it for it in said["problems"] if it["code"] == planted.code]
    assert any(planted.words in it["text"] for it in found), said["problems"]
    severity = "error" if planted.is_error else "warning"
    assert {it["severity"] for it in found} == {severity} and all(it["commands"] for it in found)
    assert said["exitStatus"] >= 1 + planted.is_error


def test_nothing_is_wrong_once_all_is_undone(host: Machine, app: App) -> None:
    """The App has counted through all that: nothing of it has reached a process."""
    said = checked(host)
    assert problems(said) == [] and said["unseen"] == [] and said["exitStatus"] == 0
    assert said["instances"] == ["one"]
    app.count(1)


def test_a_name_that_no_app_has(host: Machine) -> None:
    done = host.run("sendrecv check One", check=False)
    assert done.returncode == 4
    assert done.stderr == "sendrecv: no App is called One; there is one\n"


def test_who_may_see_less_is_told_what(host: Machine) -> None:
    host.run(f"chmod 600 {SETTINGS}")
    said = checked(host, before="runuser -u nobody --")
    host.run(f"chmod 644 {SETTINGS}")
    assert problems(said) == [] and said["exitStatus"] == 0
    unseen = {it["what"]: it["who"] for it in said["unseen"]}
    assert unseen[SETTINGS] == "root" and "the records" in unseen
    assert unseen["whether the counts of each App arrive"].startswith("root, and members")
    shown = host.run("runuser -u nobody -- sendrecv check").stdout
    assert "? Not seen: " in shown and "Who may: root." in shown


def test_a_file_is_read_as_systemd_reads_it(host: Machine) -> None:
    """Whatever is odd in it. A comment that ends in \\ is left out: systemd has changed that."""
    for data in (b"", *ODD):
        host.run(["sh", "-c", 'printf %b "$1" > /tmp/odd.env', "sh", _escaped(data)])
        run = "systemd-run -q --wait --pipe -p EnvironmentFile=-/tmp/odd.env /usr/bin/env -0"
        pairs = (one.partition("=") for one in host.run(run).stdout.split("\0") if one)
        found = {key: value for key, _, value in pairs if len(key) == 1}
        assert found == parse(data).values(), data


def _escaped(data: bytes) -> str:
    return "".join(f"\\0{byte:03o}" for byte in data)


def test_a_line_without_effect_is_in_the_journal(host: Machine) -> None:
    """Once the App counts, on the half that runs; and a wrong value, by its true source."""
    app, said = App(host, "typo"), Said(host)
    host.write("/etc/sendrecv/typo.env", "SENDRCV_INTERVAL=5\nexport A=1\n")
    host.write("/etc/sendrecv/receiver.env", "MAX_CONNECTIONS=5\n")
    app.start()
    place = "/etc/sendrecv/typo.env, line"
    said.wait(f"{place} 1: 'SENDRCV_INTERVAL' is no setting, so it has no effect; perhaps")
    said.wait(f"{place} 2: this is no shell, so A is not set: write A=... without", app.main)
    host.run("systemctl restart receiver")
    said.wait("/etc/sendrecv/receiver.env, line 1: 'MAX_CONNECTIONS' is no setting")
    app.stop()
    drop_in = OWN.replace("@one", "@typo")
    host.write(drop_in, "[Service]\nEnvironment=SENDRECV_INTERVAL=x\n")
    host.run(f"rm /etc/sendrecv/typo.env /etc/sendrecv/receiver.env; {RELOAD}")
    host.run(["systemctl", "start", "--no-block", app.main])
    said.wait(f"{drop_in}, line 2: SENDRECV_INTERVAL='x': must be a number from 0 to 86400")
    app.stop()
    host.run(f"rm {drop_in}; {RELOAD}")
    # What is a specifier in a drop-in is none in a file; as sendrecv.env(5) has it.
    host.write("/etc/sendrecv/typo.env", "SENDRECV_MAIN_NODE_ID=%H\n")
    host.run(["systemctl", "start", "--no-block", app.main])
    said.wait("works in a drop-in alone, see sendrecv.env(5)")
    app.stop()
    host.write(drop_in, "[Service]\nEnvironment=SENDRECV_MAIN_NODE_ID=%H\n")
    host.run(f"rm /etc/sendrecv/typo.env; {RELOAD}")
    name = host.run("uname -n").stdout.strip()
    with app.counts_from(name):
        app.systemctl("start", app.main)
    app.stop()
