"""`sendrecv proof` on files: what is read of them, bundles, what is printed, exit statuses."""

import gzip
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sendrecv.errors import UsageError
from sendrecv.proof import prove
from sendrecv.proof.evidence import field
from sendrecv.proof.judge.spans import TimeSpans
from sendrecv.proof.read import export, holes
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.journal import Source
from sendrecv.proof.show import picture
from sendrecv.proof.statements import At
from tests.unit.proof.journals import Fields, World
from tests.unit.proof.journals import export as written
from tests.unit.proof.judging import judge


def world() -> World:
    world = World().up("x", "y")
    world.take_over("x")
    world.take_over("x", "success")
    return world


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.export"
    path.write_bytes(written(world().entries))
    return path


def run(*arguments: str | Path) -> int:
    return prove.main([str(argument) for argument in arguments])


# The export format


def parse(data: bytes) -> list[bytes]:
    return list(export.entries(io.BytesIO(data)))


def binary(name: str, value: bytes) -> bytes:
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def test_text_fields_are_found_and_nothing_else() -> None:
    (entry,) = parse(b"A=1\nBA=2\nB=3=4\nC=\n\n")
    assert [field(entry, name) for name in (b"A", b"BA", b"B", b"C", b"D")] == [
        b"1",
        b"2",
        b"3=4",
        b"",
        b"",
    ]


def test_an_entry_hidden_in_a_field_stays_hidden() -> None:
    hidden = b"a\n\n_PID=1\nMESSAGE=forged\n\nB=\n_PID=1"
    entries = parse(b"A=1\n" + binary("MESSAGE", hidden) + b"_PID=7\n\nA=2\n\n")
    assert entries == [b"\nA=1\n_PID=7\n", b"\nA=2\n"]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_binary_fields_of_any_content_are_left_out(values: list[bytes]) -> None:
    data = b"".join(b"A=1\n" + binary("B", value) + b"C=2\n\n" for value in values)
    assert parse(data) == [b"\nA=1\nC=2\n"] * len(values)


def test_fields_larger_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 16)
    data = b"A=1\n" + binary("B", b"\n" * 1000) + b"C=" + b"3" * 200 + b"\n\nD=4\n\n"
    assert parse(data) == [b"\nA=1\nC=" + b"3" * 200 + b"\n", b"\nD=4\n"]


@pytest.mark.parametrize("end", range(1, 60))
def test_a_file_cut_anywhere_is_noticed(end: int) -> None:
    data = b"A=1\n" + binary("B", b"x\n\ny" * 3) + b"C=2\n\nA=5\nB=6\n\n"
    if data[:-end] in (data[: data.index(b"A=5")], b""):
        assert len(parse(data[:-end])) <= 1
    else:
        with pytest.raises(export.ExportError):
            parse(data[:-end])


def test_what_is_no_export_is_refused() -> None:
    with pytest.raises(export.ExportError, match="not a field"):
        parse(b"some text\nwithout a field\n\n")


# The command


def test_a_file_is_judged(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--file", journal) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[-1].startswith("PROVEN: 2 Apps, 10 counts, 2 takeovers, ")
    assert sum(line.startswith("  PROVEN        ") for line in output) == 15
    assert sum(line.startswith("  NOTHING       ") for line in output) == 3, "y has one run"


def test_names_select(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("y", "--file", journal) == 0
    assert "App x" not in capsys.readouterr().out


def test_nothing_to_show_is_one_line(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("z", "--file", journal) == 2
    assert capsys.readouterr().out == "INCONCLUSIVE: no App or instance 'z' is in what was read\n"
    assert run("z", "x", "--file", journal) == 2
    output = capsys.readouterr().out.splitlines()
    assert "App x" in output and "App z" not in output
    assert output[-1].startswith("INCONCLUSIVE ('z'): 1 App, ")
    (tmp_path / "cut").write_bytes(b"cut off")
    assert run("--file", tmp_path / "cut") == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("INCONCLUSIVE: no entry of a sender or of the receiver is in what was")
    assert "not read to its end" in line


def test_the_exit_status_is_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = world()
    wrong.print("y", "main", 0)
    path = tmp_path / "wrong"
    path.write_bytes(written(wrong.entries))
    assert run("--file", path) == 1
    output = capsys.readouterr().out
    assert output.splitlines()[-1].startswith("VIOLATED (y): ")
    assert "count 0 was printed twice" in output and wrong.entries[-1]["__CURSOR"] in output
    path.write_bytes(b"")
    assert run("--file", path) == 2


def test_a_long_timeline_is_shortened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = World().up("x")
    for _ in range(40):
        long.take_over("x")
    path = tmp_path / "long"
    path.write_bytes(written(long.entries))
    assert run("--file", path) == 0
    shortened = capsys.readouterr().out.splitlines()
    assert "  … 21 more (--all)" in shortened and "  … 20 more (--all)" in shortened
    assert run("--file", path, "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(shortened) + 39


def test_json_has_all_of_it(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--file", journal, "x") == 0
    verdict = json.loads(capsys.readouterr().out)
    (app,) = verdict["apps"]
    assert verdict["verdict"] == app["verdict"] == "PROVEN"
    assert app["counts"] == {"number": 7, "first": 0, "highest": 6}
    assert [run["node"] for run in app["runs"]] == ["main", "failover", "main"]
    assert [run["epoch"] for run in app["runs"]] == [1, 2, 3]
    for takeover in app["takeovers"]:
        keys = ("exited", "started", "ready", "first_count")
        times = [takeover[key]["monotonic"] for key in keys]
        assert times == sorted(times) and takeover["gap"] == times[-1] - times[0]
    entries = [entry for check in app["checks"] for entry in check["entries"]]
    assert entries and all(entry["cursor"].startswith("s=") for entry in entries)
    assert not [key for key in keys_of(verdict) if not re.fullmatch("[a-z_]+", key)]


def keys_of(data: object) -> Iterator[str]:
    if isinstance(data, dict):
        yield from data
        data = list(data.values())
    if isinstance(data, list):
        for one in data:
            yield from keys_of(one)


def test_files_of_one_machine_are_merged(tmp_path: Path) -> None:
    whole = world().entries
    parts = [tmp_path / name for name in ("pid1", "receiver")]
    for path, is_pid1 in zip(parts, (True, False), strict=True):
        its = [entry for entry in whole if (entry["_PID"] == "1") is is_pid1]
        path.write_bytes(written(its))
    assert run("--file", parts[0], "--file", parts[1]) == 0
    assert run("--file", parts[0]) == run("--file", parts[1]) == 2


def test_what_is_in_two_files_is_read_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = world().entries
    files = {"whole": whole, "again": whole, "begin": whole[:20], "end": whole[10:]}
    paths = {name: tmp_path / name for name in files}
    for name, entries in files.items():
        paths[name].write_bytes(written(entries))
    for names in (["whole"], ["whole", "again"], ["begin", "end"], ["end", "whole", "begin"]):
        assert run("--json", *(f"--file={paths[name]}" for name in names)) == 0, names
        assert json.loads(capsys.readouterr().out)["entries"] == len(whole)
    wrong = world()
    wrong.print("x", "main", 0)
    paths["again"].write_bytes(written(wrong.entries))
    assert run(f"--file={paths['whole']}", f"--file={paths['again']}") == 1


def test_a_part_can_be_asked_for(tmp_path: Path) -> None:
    two = world()
    two.print("x", "main", 0)
    two.boot(clean=True)
    two.start_receiver()
    two.admit(two.start("x", "main"))
    two.count("x")
    path = tmp_path / "two"
    path.write_bytes(written(two.entries))
    assert run("--file", path) == 1
    for boot in ("0", "-0", "2", two.boot_id):
        assert run("--file", path, "--boot", boot) == 0
    assert run("--file", path, "--boot=-1") == 1
    second = next(entry for entry in two.entries if entry["_BOOT_ID"] == two.boot_id)
    since = int(second["__REALTIME_TIMESTAMP"]) // 1_000_000
    assert run("--file", path, "--since", f"@{since}") == 0
    with pytest.raises(UsageError, match="there are 2 boots"):
        run("--file", path, "--boot", "3")


def old_app() -> World:
    """An App that is older than this boot, which a power cut began, on a machine with a journal."""
    old = World().up("x")
    old.boot(clean=True)
    old.pid1("basic.target", "b" * 32, "started")
    old.start_receiver()
    old.admit(old.start("x", "main"))
    old.count("x", times=3)
    old.take_over("x")
    return old


def numbered(entries: list[Fields]) -> list[Fields]:
    """As a journal that begins here."""
    return [
        {**entry, "__CURSOR": re.sub("i=[0-9a-f]+", f"i={place:x}", entry["__CURSOR"])}
        for place, entry in enumerate(entries, 1)
    ]


def vacuumed(tmp_path: Path, *arguments: str, cut: int, renumbered: bool = False) -> int:
    """The verdict once the entries before the boot's, and `cut` of the boot's, are gone."""
    old = old_app()
    begins = next(n for n, one in enumerate(old.entries) if one["_BOOT_ID"] == old.boot_id)
    kept = old.entries[begins + cut :]
    path = tmp_path / "kept"
    path.write_bytes(written(numbered(kept) if renumbered else kept))
    return run("--file", path, *arguments)


def test_a_boot_is_proven_if_it_is_there_from_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vacuumed(tmp_path, "--boot", cut=-1) == 0, "an entry of the boot before is there"
    assert vacuumed(tmp_path, "--boot", cut=0, renumbered=True) == 0, "the journal begins with it"
    capsys.readouterr()
    assert vacuumed(tmp_path, "--boot", cut=0) == 2
    assert "not with the boot that was asked for" in capsys.readouterr().out
    assert vacuumed(tmp_path, "--boot", cut=1, renumbered=True) == 2, "no basic.target"
    assert vacuumed(tmp_path, "--boot", cut=4) == 2
    assert vacuumed(tmp_path, cut=0, renumbered=True) == 2, "the whole was asked for"


def test_a_time_is_proven_if_the_journal_reaches_back_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = old_app().entries
    begins = next(n for n, one in enumerate(entries) if one["_BOOT_ID"] == old_app().boot_id)
    first, later = (int(entries[begins + n]["__REALTIME_TIMESTAMP"]) / 1e6 for n in (0, 3))
    assert vacuumed(tmp_path, f"--since=@{later:.6f}", cut=0) == 0
    assert vacuumed(tmp_path, f"--since=@{first:.6f}", cut=0) == 0
    capsys.readouterr()
    assert vacuumed(tmp_path, f"--since=@{first:.6f}", cut=3) == 2
    output = capsys.readouterr().out
    assert "the journal begins at " in output and "from 2026-" in output
    assert not re.search("PROVEN +the journal is whole", output)
    bundle = tmp_path / "bundle"
    assert vacuumed(tmp_path, f"--since=@{first:.6f}", f"--bundle={bundle}", cut=3) == 2
    assert run("--file", bundle) == 2


def test_of_an_app_that_begins_in_the_journal_nothing_can_be_before(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--file", journal, "--since", "-50y") == 0
    assert "note: the journal begins at " in capsys.readouterr().out


def test_a_clock_that_was_set_back_is_noticed_in_export_files(tmp_path: Path) -> None:
    back = World().up("x")
    back.count("x", times=5)
    since = int(back.entries[-3]["__REALTIME_TIMESTAMP"]) / 1e6
    back.clock = -3_600_000_000
    back.count("x", times=5)
    back.clock = 0
    back.take_over("x")
    path = tmp_path / "back"
    path.write_bytes(written(back.entries))
    assert run("--file", path) == 0
    assert run("--file", path, f"--since=@{since:.6f}") == 2, "not VIOLATED: there is no gap"


def test_times_are_those_of_journalctl(journal: Path) -> None:
    assert run("--file", journal, "--since", "+20y") == 2
    assert run("--file", journal, "--since", "-50y", "--until", "+20y") == 0
    assert run("--until=-50y", "--file", journal) == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--file", "/nonexistent"], "/nonexistent: No such file"),
        (["--directory", "/nonexistent"], "is not a directory"),
        (["--directory", "/tmp", "--file", __file__], "exclude each other"),
        (["--since", "once upon a time"], "is not a time"),
        (["--verify-key", "k", "--file", __file__], "has no seals"),
        (["--file", "/dev/zero"], "/dev/zero is not a file"),
        (["--file", "/dev/null"], "/dev/null is not a file"),
        (["--file", "/tmp"], "/tmp is not a file: for a directory, use --directory"),
        (["--boot", "xyz", "--file", __file__], "'xyz' is not a boot"),
        (["--boot=", "--file", __file__], "'' is not a boot"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_is_no_verdict(arguments: list[str], error: str) -> None:
    with pytest.raises(UsageError, match=error) as raised:
        run(*arguments)
    assert raised.value.exit_status > 2


# Bundles


@pytest.mark.parametrize("name", ["b.export", "b.export.gz"])
def test_a_bundle_gives_the_same_verdict(
    name: str, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--file", journal, "--json", "x")
    original = json.loads(capsys.readouterr().out)
    bundle = tmp_path / name
    assert run("--file", journal, "--bundle", bundle, "x") == 0
    capsys.readouterr()
    assert run("--file", bundle, "--json") == 0
    assert json.loads(capsys.readouterr().out) == original


def test_a_bundle_is_as_inconclusive_as_what_it_was_made_from(tmp_path: Path) -> None:
    later = world().entries[12:]
    path, bundle = tmp_path / "later", tmp_path / "bundle"
    path.write_bytes(written(later) + b"cut off")
    assert run("--file", path, "--bundle", bundle) == 2
    assert run("--file", bundle) == 2


def test_a_bundle_of_a_part_says_so(tmp_path: Path) -> None:
    long = World().up("x")
    long.take_over("x")
    since = int(long.entries[-1]["__REALTIME_TIMESTAMP"]) + 1
    long.take_over("x")
    path, bundle = tmp_path / "long", tmp_path / "bundle"
    path.write_bytes(written(long.entries))
    assert run("--file", path, "--since", f"@{since / 1e6:.6f}", "--bundle", bundle) == 0
    assert run("--file", bundle) == 0


def kept(directory: Path) -> dict[str, object]:
    """What is there: of each file its content, of anything else its kind."""
    return {
        path.name: path.read_bytes() if path.is_file() else stat.S_IFMT(path.lstat().st_mode)
        for path in directory.iterdir()
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("none/bundle", "No such file or directory"),
        ("journal.export/bundle", "Not a directory"),
        (".", "is not a file"),
        ("directory", "is not a file"),
        ("pipe", "is not a file"),
        ("link", "is not a file"),
        ("dangling", "is not a file"),
        ("b", "b.sha256 is not a file"),
        ("n" * 300, "File name too long"),
        ("/proc/self/fd/1", "is not a file"),
        ("/proc/bundle", "No such file or directory"),
    ],
)
def test_where_no_bundle_can_be_is_no_verdict(
    name: str, error: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = journal.parent
    (top / "directory").mkdir()
    os.mkfifo(top / "pipe")
    (top / "link").symlink_to("journal.export")
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "b.sha256")
    before = kept(top)
    with pytest.raises(UsageError, match=error):
        run("--file", journal, "--bundle", top / name)
    assert kept(top) == before and not capsys.readouterr().out
    with pytest.raises(UsageError):
        run("--file", journal, "--svg", top / "none" / "picture")


def test_a_bundle_takes_the_place_of_a_file_and_leaves_no_other(journal: Path) -> None:
    bundle = journal.parent / "bundle"
    bundle.write_text("old")
    for _ in range(2):
        assert run("--file", journal, "--bundle", bundle) == 0
    names = {path.name for path in journal.parent.iterdir()}
    assert names == {"journal.export", "bundle", "bundle.sha256"}


def test_a_manifest_is_for_sha256sum(journal: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    run("--file", journal, "--bundle", bundle)
    manifest = (tmp_path / "bundle.sha256").read_text().splitlines()
    assert manifest[0] == "# sendrecv proof: PROVEN"
    digest, name = manifest[-1].split("  ")
    assert name == "bundle" and len(digest) == 64


@given(st.data())
def test_a_damaged_file_is_a_verdict_and_no_fault(data: st.DataObject) -> None:
    """Whatever stands in it: bytes changed, put in, taken out, anywhere."""
    content = bytearray(WRITTEN)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.sampled_from([0, 1, 1, 1, 40]))
        content[place : place + length] = data.draw(st.sampled_from(DAMAGE) | st.binary(max_size=3))
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(bytes(content), mtime=0))
        content[data.draw(st.integers(10, len(content) - 1))] ^= data.draw(st.sampled_from([0, 5]))
    with TemporaryDirectory() as directory, redirect_stdout(io.StringIO()):
        path = Path(directory) / "damaged"
        path.write_bytes(content)
        options = data.draw(st.sampled_from([[], ["--json"], ["--boot"], ["--since=2026-09-21"]]))
        assert run("--file", path, "--svg", Path(directory) / "picture", *options) in {0, 1, 2}


def test_a_moment_that_names_no_boot_has_a_place_in_the_picture() -> None:
    """A damaged entry may name none. Chance found one; it was a traceback."""
    verdict = judge(world())
    frame = picture._Frame(verdict)  # pylint: disable=protected-access
    assert frame.of(At("", 5, 5)) == frame.of(At("", 5, 9))


DAMAGE = [b"9" * 30, b"9" * 5000, b"\xff\xfe", b"\n", b"\n\n", b"=", b"[" * 2000, b"\0", b"1" * 17]
WRITTEN = written(world().entries)


def test_an_altered_bundle_is_not_proven(journal: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.gz"
    run("--file", journal, "--bundle", bundle)
    text = gzip.decompress(bundle.read_bytes())
    bundle.write_bytes(gzip.compress(text.replace(b'"count": 6', b'"count": 7')))
    assert run("--file", bundle) == 1
    bundle.write_bytes(gzip.compress(text.replace(b"status 9", b"status 8")))
    assert run("--file", bundle) == 2


def test_nobody_can_log_a_bundles_own_entry(tmp_path: Path) -> None:
    later = World().up("x")
    scope = json.dumps({"names": [], "scoped": True, "missing": []})
    forged = len(later.entries)
    later.write({"_TRANSPORT": "journal", "SENDRECV_PROOF": scope, "MESSAGE": "forged"})
    later.take_over("x")
    later.take_over("x")
    path = tmp_path / "later"
    path.write_bytes(written(later.entries[forged:]))
    assert run("--file", path) == 2


# Holes


def header(head: int, tail: int, series: str = "s", name: str = "system.journal") -> Header:
    return Header(f"/j/{name}", "m", series, head, tail, head * 10, tail * 10)


@pytest.mark.parametrize(
    ("files", "holes_found"),
    [
        ([header(1, 10), header(11, 20)], []),
        ([header(5, 20), header(8, 15)], []),
        ([header(1, 10), header(12, 20)], ["11 to 11"]),
        ([header(30, 40), header(1, 10)], ["11 to 29"]),
        ([header(1, 10), header(3, 5), header(21, 30), header(31, 34, "t")], ["11 to 20"]),
        ([header(1, 10), header(3, 30, name="user-1000.journal"), header(21, 30)], ["11 to 20"]),
    ],
)
def test_a_file_that_is_gone_shows(files: list[Header], holes_found: list[str]) -> None:
    found = [one.text for one in holes.missing(Source(files=()), files)]
    found = [text for text in found if "cannot be read" not in text]
    assert found == [f"the journal's entries {hole} are missing" for hole in holes_found]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([header(5, 10), header(31, 40, "t")], True),
        ([header(5, 30), header(31, 40, "t")], False),
        ([header(5, 10)], False),
    ],
)
def test_a_numbering_that_begins_in_the_middle_shows(files: list[Header], found: bool) -> None:
    texts = [one.text for one in holes.missing(Source(), files)]
    expected = ["the journal's entries before 31, of another numbering, are missing"]
    assert texts == (expected if found else [])


def jumped(first: int, last: int, head: int) -> Header:
    return Header("/j/system.journal", "m", "s", head, head + 9, first, last)


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [(None, None, 0), (150, None, 1), (250, None, 0), (99, None, 0), (None, 150, 1), (150, 160, 2)],
)
def test_a_clock_that_was_set_back_over_an_end_of_the_period_is_a_doubt(
    since: int | None, until: int | None, found: int
) -> None:
    files = [jumped(10, 200, 1), jumped(100, 300, 11)]
    missing = list(holes.missing(Source(since=since, until=until), files))
    assert len(missing) == found and all(one.somewhere for one in missing)


def test_a_hole_outside_of_what_is_asked_for_does_not_matter() -> None:
    files = [header(1, 10), header(12, 20)]
    text = "the journal's entries 11 to 11 are missing"
    for since, until, found in ((None, None, True), (130, None, False), (None, 90, False)):
        source = Source(since=since, until=until)
        assert (text in [one.text for one in holes.missing(source, files)]) is found


# The picture


def draw(entries: World, tmp_path: Path) -> ElementTree.Element:
    path, svg = tmp_path / "entries", tmp_path / "picture.svg"
    path.write_bytes(written(entries.entries))
    run("--file", path, "--svg", svg)
    return ElementTree.parse(svg).getroot()


def shapes(picture: ElementTree.Element, kind: str) -> int:
    return sum(element.get("class") == kind for element in picture.iter())


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_has_bars_dots_and_gaps(tmp_path: Path) -> None:
    picture = draw(world(), tmp_path)
    legend = 1
    assert (shapes(picture, "main"), shapes(picture, "failover")) == (3 + legend, 1 + legend)
    assert shapes(picture, "takeover") == 2 + legend
    dots = "".join(path.get("d", "") for path in picture.iter() if path.get("stroke-linecap"))
    assert dots.count("M") == 10
    assert {"PROVEN", "x", "y", "main", "failover", "1,046 ms"} <= set(texts(picture))


def test_the_picture_shows_violations_and_escapes_names(tmp_path: Path) -> None:
    wrong = world()
    wrong.print("x", "main", 1)
    assert shapes(draw(wrong, tmp_path), "wrong") == 1


def test_the_picture_of_nothing(tmp_path: Path) -> None:
    assert "INCONCLUSIVE" in texts(draw(World(), tmp_path))


def test_dots_are_merged_when_there_are_too_many() -> None:
    spans = TimeSpans(100)
    for second in range(100_000):
        if second % 1000 < 990:
            spans.add(second * 1_000_000, second // 5000, 0)
    assert len(spans.spans) <= 200
    assert spans.spans[0].first == 0 and spans.spans[-1].last == 99_989_000_000


def test_the_time_between_boots_is_cut_short(tmp_path: Path) -> None:
    two = world()
    two.wait(30)
    two.boot(clean=True)
    two.boots += 24 * 7  # hours
    two.start_receiver()
    two.admit(two.start("x", "main"))
    two.count("x", times=30)
    runs = [shape for shape in draw(two, tmp_path).iter() if shape.get("class") == "main"]
    assert max(float(shape.get("width", 0)) for shape in runs) > 300
