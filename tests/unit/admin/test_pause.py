"""`sendrecv pause` and `sendrecv resume` as they are typed. On systemd: system/test_pause.py."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sendrecv.admin import acts, halves, pause, pause_hosts, paused
from sendrecv.admin.checks.settings import Own
from sendrecv.admin.facts import App
from sendrecv.admin.paused import Pause
from sendrecv.admin.told import Told
from sendrecv.admin.units import Half, half_of
from sendrecv.core import lease
from sendrecv.core.lease import decode_pause, encode_pause
from sendrecv.core.takeover import PAUSED, RESUMED
from sendrecv.errors import ReceiverUnavailable, StoreUnusable, UsageError
from sendrecv.sender.etcd_messages import EtcdError, Found, Key, Written
from tests.lab.waiting import HANG
from tests.unit.admin.test_schema import FACTS

MAIN, FAILOVER = half_of("x", "main"), half_of("x", "failover")


class Scene:
    """The App x: which half runs, whether it is meant to; what was started, and told."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.main, self.running, self.meant = MAIN, "main", True
        self.said = Told()
        self.started: list[Half] = []
        self.told: list[tuple[str, str]] = []
        self.errors: list[ReceiverUnavailable] = []
        for module in (paused, pause):
            name = "DIRECTORY" if module is paused else "NOTES"
            monkeypatch.setattr(module, name, directory / name.lower())
        monkeypatch.setattr(pause, "GUARD", directory)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(acts, "person", lambda: "joe")
        monkeypatch.setattr(acts, "tell", self._tell)
        monkeypatch.setattr(pause.facts, "gather", self._gather)
        monkeypatch.setattr(halves, "running", lambda _: self._half(self.running))
        monkeypatch.setattr(halves, "halves_of", self._both)
        monkeypatch.setattr(halves, "is_meant", lambda _: self.meant)
        monkeypatch.setattr(halves, "start", self._start)

    def _half(self, role: str) -> Half | None:
        return {"main": self.main, "failover": FAILOVER}.get(role)

    def _both(self, _instance: str) -> dict[str, Half]:
        return {"main": self.main, "failover": FAILOVER}

    def _start(self, half: Half) -> None:
        assert not paused.paused(), "it would be held back"
        self.started.append(half)
        for error in self.errors:
            raise error

    def _gather(self) -> object:
        app = App("x", "appX", "counting", True, True, (self.main, FAILOVER), self.running)
        app = app.replace(paused=paused.paused().get("x"), told=self.said)
        return FACTS.replace(apps=(app,))

    def _tell(self, text: str, _instance: str, fields: dict[str, str]) -> None:
        assert fields["SENDRECV_APP"] == "appX" and fields["SENDRECV_BY"] == "joe"
        self.told.append((fields["MESSAGE_ID"], text))


@pytest.fixture(name="scene")
def fixture_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_a_pause_and_its_end(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert pause.pause(["sender@x", "--reason", "new disk"]) == 0
    there = paused.paused()["x"]
    assert (there.by, there.reason) == ("joe", "new disk") and (there.since or 0) > 1e9
    assert (scene.directory / "directory/x").stat().st_mode & 0o777 == 0o644
    assert (scene.directory / "notes/x.paused").read_text(encoding="ascii").strip().isdigit()
    said = capsys.readouterr().out
    assert "App x is paused: main counts on, and failover does not take over" in said
    assert pause.pause(["x"]) == 0 and "by joe (new disk)" in capsys.readouterr().out
    (scene.directory / "paused-x").touch()
    assert pause.resume(["x"]) == 0
    assert "resumed: main counts, and failover takes over" in capsys.readouterr().out
    assert not paused.paused() and not scene.started
    assert not (scene.directory / "paused-x").exists(), "the guard would not say it again"
    assert pause.resume(["x"]) == 0 and "is not paused" in capsys.readouterr().out
    ids = [(PAUSED, "App x is paused by joe: new disk"), (RESUMED, "App x is resumed by joe")]
    assert scene.told == ids


def test_what_does_not_count_goes_on(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for main, half in ((MAIN, MAIN), (MAIN.replace(masked=True), FAILOVER)):
        scene.running, scene.main = "", main
        pause.pause(["x"])
        assert "nothing counts, and nothing is started" in capsys.readouterr().out
        assert pause.resume(["x"]) == 0
        assert scene.started.pop() == half
        assert f"{half.role} counts\n" in capsys.readouterr().out


def test_an_app_that_is_stopped_stays_so(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.running, scene.meant = "", False
    pause.pause(["x"])
    assert pause.resume(["x"]) == 0 and not scene.started
    assert "it is stopped; to start it: systemctl start sender@x" in capsys.readouterr().out


def test_what_does_not_go_on_is_an_error(scene: Scene) -> None:
    scene.running, scene.errors = "", [ReceiverUnavailable("it has not started")]
    pause.pause(["x"])
    with pytest.raises(ReceiverUnavailable, match="resumed, and nothing counts: it has not st"):
        pause.resume(["x"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["../x"], "'../x' is no instance"),
        (["x", "--reason", "a\nb"], "the reason must be one line"),
        (["nosuch"], "no App is called nosuch"),
        (["X"], "no App is called X; there is x"),
        ([], "see sendrecv pause --help"),
    ],
)
def test_what_cannot_be_paused(scene: Scene, arguments: list[str], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        pause.pause(arguments)
    assert why in str(caught.value) and not paused.paused() and not scene.told


def test_who_may_not(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in (pause.pause, pause.resume):
        with pytest.raises(UsageError, match="only root may do that: type: sudo sendrecv"):
            command(["x"])
    assert not paused.paused() and not scene.told


def test_a_file_that_cannot_be_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paused, "DIRECTORY", scene.directory / "a/b")
    with pytest.raises(StoreUnusable):
        pause.pause(["x"])
    assert not scene.told


def test_a_damaged_file_is_a_pause_all_the_same(tmp_path: Path) -> None:
    assert Pause().words(0.0) == "by somebody"
    for text in (b"", b"[1]", b'{"since": "x", "by": "", "reason": ""}', b"\xff", b"[" * 9999):
        assert paused.parse(text) == Pause()
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "directory").mkdir()
    for name in ("link", "directory"):
        assert paused._read(tmp_path / name) == Pause()  # pylint: disable=protected-access


def test_what_was_given_is_shown_as_a_terminal_may_have_it() -> None:
    said = Pause(0.0, "joe", "a\x1b[2J").words(0.0)
    assert "\x1b" not in said and said.isprintable()


class Etcd:
    """A few lines of an etcd: one key."""

    def __init__(self) -> None:
        self.key: Key | None = None
        self.error = ""
        self.before: Callable[[], None] = lambda: None

    def pause(self) -> lease.Pause | None:
        """What the key says."""
        return decode_pause(self.key.value) if self.key else None

    def get(self, _key: str, _timeout: float) -> Key | None:
        """See etcd.Etcd."""
        if self.error:
            raise EtcdError(self.error)
        return self.key

    def put_if(self, key: str, revision: int, value: bytes, _timeout: float) -> Written | Found:
        """See etcd.Etcd."""
        assert (key, revision) == ("/sendrecv/x/paused", 0)
        self.before()
        if self.key:
            return Found(self.key)
        self.key = Key(7, value)
        return Written(7)

    def remove_if(self, _key: str, revision: int, _timeout: float) -> bool:
        """See etcd.Etcd."""
        assert self.key and self.key.revision == revision
        self.key = None
        return True

    def close(self) -> None:
        """See etcd.Etcd."""


@pytest.fixture(name="etcd")
def fixture_etcd(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Etcd:
    """The App is one of several hosts, and counts on host a."""
    etcd = Etcd()
    environ = {"SENDRECV_STORE": "etcd://a,b,c"}
    own = Own("sender@x.service", "x", "main", environ=environ)
    monkeypatch.setattr(pause_hosts.settings, "read", lambda *_: [own])
    monkeypatch.setattr(pause_hosts, "credential_files", lambda _: {})
    monkeypatch.setattr(pause_hosts, "Etcd", lambda *_, **__: etcd)
    monkeypatch.setattr(pause.files, "settings", lambda _: environ)
    monkeypatch.setattr(pause_hosts, "PATIENCE", HANG)
    scene.main = MAIN.replace(text=THERE)
    return etcd


THERE = "standing by, a (a) counts since 2026-11-27 07:27:13 UTC, count 7"
HELD = "standing by, nothing counts: a has not renewed its lease, count 7, paused by joe"


def test_an_app_of_several_hosts(
    scene: Scene, etcd: Etcd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pause.pause(["x", "--reason", "new disk"]) == 0
    there = etcd.pause()
    assert there and there.since > 1e9
    assert there.replace(since=0) == lease.Pause(0, "joe", "new disk")
    assert "App x is paused: " in capsys.readouterr().out
    assert not paused.paused(), "a person who resumes it elsewhere could not remove that"
    assert pause.pause(["x"]) == 0
    assert "is paused already, since" in capsys.readouterr().out
    paused.write("x", Pause(1.0, "joe", ""))  # from when it was an App of this machine alone
    assert pause.resume(["x"]) == 0 and etcd.pause() is None and not paused.paused()
    assert capsys.readouterr().out == "App x is resumed: a counts\n"
    assert pause.resume(["x"]) == 0 and "is not paused" in capsys.readouterr().out
    assert [it for it, _ in scene.told] == [PAUSED, RESUMED]


def test_without_etcd_nothing_is_paused(scene: Scene, etcd: Etcd) -> None:
    etcd.error = "no endpoint of etcd answers"
    for command in (pause.pause, pause.resume):
        with pytest.raises(StoreUnusable, match="no endpoint of etcd answers: nothing is changed"):
            command(["x"])
    etcd.error = ""

    def unheard() -> None:
        raise EtcdError("no endpoint of etcd answers")

    etcd.before = unheard
    with pytest.raises(StoreUnusable, match="it may be paused all the same"):
        pause.pause(["x"])
    assert not scene.told


def test_two_who_pause_it_at_once(scene: Scene, etcd: Etcd) -> None:
    etcd.before = lambda: setattr(etcd, "key", Key(6, encode_pause(lease.Pause(1, "eve", ""))))
    assert pause.pause(["x"]) == 0 and scene.told


def test_an_app_of_several_hosts_that_no_host_takes(
    scene: Scene, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause_hosts, "PATIENCE", 0.2)
    pause.pause(["x"])
    scene.main = MAIN.replace(text=HELD)
    with pytest.raises(ReceiverUnavailable, match="no host has taken it"):
        pause.resume(["x"])
    assert etcd.key is None


def test_an_app_of_several_hosts_that_is_stopped_here(
    scene: Scene, etcd: Etcd, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.running, scene.meant = "", False
    assert pause.pause(["x"]) == 0 and etcd.key
    assert "as far as this host knows, nothing counts" in capsys.readouterr().out
    assert pause.resume(["x"]) == 0
    assert "on this host it is stopped" in capsys.readouterr().out


def test_settings_that_do_not_name_etcd_any_more(
    scene: Scene, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Own("sender@x.service", "x", "main", environ={})
    monkeypatch.setattr(pause_hosts.settings, "read", lambda *_: [own])
    with pytest.raises(UsageError, match="have no SENDRECV_STORE any more"):
        pause.pause(["x"])
    assert not scene.told and etcd.key is None
