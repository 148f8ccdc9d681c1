"""etcd, for Apps on several hosts: whether each member answers, and all of them together.

It is asked with the senders' own client and credentials, and only to read. pylint cannot see that
FAILURES is a tuple of exceptions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sendrecv.admin.bus import Bus, BusError
from sendrecv.admin.checks.settings import AppSettings
from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.problems import Problem
from sendrecv.admin.screen import plain
from sendrecv.config import StoreConfig
from sendrecv.core.errors import quoted
from sendrecv.core.values import Value
from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd_access import Credentials, Endpoint, EtcdAccess, Tls
from sendrecv.sender.etcd_connection import FAILURES, EtcdConnection
from sendrecv.sender.etcd_messages import EtcdError, EtcdRefused
from sendrecv.sender.etcd_worker import words_of

TIMEOUT = 3.0
"""Seconds for one answer. Elections are over then."""
MEMBERS, ALARMS = "/v3/cluster/member/list", "/v3/maintenance/alarm"
STATUS = "/v3/maintenance/status"
FULL = 1_800_000_000
"""Bytes. etcd's default quota is 2 GB."""
PASSWORD, CA, CERTIFICATE, KEY = "etcd-password", "etcd-ca", "etcd-certificate", "etcd-key"
MAX_PASSWORD = 4096


class Asked(Value):
    """What came of one endpoint. error: "" if it has answered; is_refused: by a rule of its own,
    not for want of an answer. cluster: its number. whole: why the members together do not answer
    by this one, "" if they do, or if that was not asked. members: how many there are; size: bytes;
    is_full: whether there is an alarm for want of space. These are None if not known.
    """

    endpoint: str
    error: str = ""
    is_refused: bool = False
    cluster: str = ""
    whole: str = ""
    members: int | None = None
    size: int | None = None
    is_full: bool = False


def problems(known: Iterable[AppSettings]) -> Iterator[Problem | Unseen]:
    """Of the etcd of each App that has one. Each of them is asked once."""
    done: set[tuple[object, ...]] = set()
    for one in known:
        if store := one.config.store:
            yield from lease(one.app.instance, store)
            files = credential_files(f"sender@{one.app.instance}.service")
            key = (store.endpoints, store.tls, store.user, *files.items())
            if key not in done:
                done.add(key)
                yield from _of_app(one, store, files)


def _of_app(
    one: AppSettings, store: StoreConfig, files: Mapping[str, str]
) -> Iterator[Problem | Unseen]:
    instance = one.app.instance
    show = (f"systemctl cat sender@{instance}",)
    cost = "its senders do not start"
    try:
        credentials = credentials_of(store, files)
        answers = ask(store, credentials, f"/sendrecv/{one.config.app_id}/record")
    except PermissionError as error:
        yield Unseen(f"whether etcd answers App {instance}, with {error.filename}")
    except OSError as error:
        text = f"a credential of App {instance} for etcd: {error.filename}: {error.strerror}"
        yield Problem(instance, "etcd-file", text, show, True, cost)
    except EtcdError as error:
        text = f"App {instance} cannot use TLS with etcd: {error}"
        yield Problem(instance, "etcd-file", text, show, True, cost)
    else:
        yield from judge(instance, store, answers)


def credential_files(unit: str) -> Mapping[str, str]:
    """The files of LoadCredential=, by the names of the credentials."""
    try:
        with Bus() as bus:
            return dict(bus.pairs(unit, "LoadCredential", "Service"))
    except BusError:
        return {}


def credentials_of(store: StoreConfig, files: Mapping[str, str]) -> Credentials:
    """Raises OSError if a file cannot be read."""
    for path in files.values():
        if os.path.isabs(path):
            with open(path, "rb"):
                pass
    password = ""
    if store.user and PASSWORD in files:
        with open(files[PASSWORD], encoding="utf-8", errors="replace") as file:
            password = file.read(MAX_PASSWORD).rstrip("\n")
    return Credentials(
        store.user, password, *(files.get(one, "") for one in (CA, CERTIFICATE, KEY))
    )


def ask(store: StoreConfig, credentials: Credentials, key: str) -> list[Asked]:
    """All endpoints, at the same time. Raises EtcdError if the files for TLS cannot be used."""
    tls = Tls(credentials) if store.tls else None
    endpoints = [Endpoint(*pair) for pair in store.endpoints]
    with ThreadPoolExecutor(len(endpoints)) as pool:
        return [*pool.map(lambda one: _ask(one, EtcdAccess(credentials, tls), key), endpoints)]


def _ask(endpoint: Endpoint, access: EtcdAccess, key: str) -> Asked:
    connection = EtcdConnection(endpoint, access)
    asked = Asked(f"{endpoint.host}:{endpoint.port}")
    try:
        answer = _answer(connection, messages.RANGE, messages.get_request(key, here=True))
        asked = asked.replace(cluster=messages.cluster_of(answer))
    except FAILURES as error:  # pylint: disable=catching-non-exception
        connection.drop()
        return asked.replace(error=_words(error), is_refused=isinstance(error, EtcdRefused))
    try:
        _answer(connection, messages.RANGE, messages.get_request(key))
        asked = asked.replace(**_more(connection))
    except FAILURES as error:  # pylint: disable=catching-non-exception
        asked = asked.replace(whole=_words(error))
    connection.drop()
    return asked


def _answer(connection: EtcdConnection, path: str, body: bytes) -> dict[str, Any]:
    return connection.ask(path, body, time.monotonic() + TIMEOUT)


def _more(connection: EtcdConnection) -> dict[str, object]:
    """What a user of etcd with few rights may not ask, is not known."""
    found: dict[str, object] = {}
    try:
        members = _answer(connection, MEMBERS, b"{}").get("members")
        found["members"] = len(members) if isinstance(members, list) else None
        size = _answer(connection, STATUS, b"{}").get("dbSize")
        found["size"] = int(size) if isinstance(size, str) and size.isdecimal() else None
        alarms = _answer(connection, ALARMS, b'{"action":"GET"}').get("alarms")
        words = [one.get("alarm") for one in alarms if isinstance(one, dict)] if alarms else []
        found["is_full"] = "NOSPACE" in words
    except FAILURES:  # pylint: disable=catching-non-exception
        pass
    return found


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, EtcdError) else words_of(error)


def lease(instance: str, store: StoreConfig) -> Iterator[Problem]:
    """Settings that go with etcd's own."""
    if store.lease < 2:
        text = (
            f"App {instance} has a lease of {store.lease:g} s, and etcd elects a leader within"
            " about 1.3 s by its defaults"
        )
        cost = 'an election may move the App; see "Settings" in hosts.md for etcd\'s own times'
        command = "grep -s ETCD_ELECTION_TIMEOUT /etc/default/etcd"
        yield Problem(instance, "etcd-lease", text, (command,), False, cost)


def judge(instance: str, store: StoreConfig, answers: Sequence[Asked]) -> Iterator[Problem]:
    """What is wrong with that etcd, from what its endpoints say."""
    yield from _unreachable(instance, store, answers)
    yield from _clusters(instance, answers)
    well = [one for one in answers if not one.error]
    if well and all(one.whole for one in well):
        text = f"etcd of App {instance} has no majority: {plain(well[0].whole)}"
        commands: tuple[str, ...] = ("etcdctl endpoint status --cluster -w table",)
        yield Problem(instance, "etcd-quorum", text, commands, True, _stands(store))
    if any(one.is_full for one in well):
        text = f"etcd of App {instance} is full, and takes no writes"
        commands = (
            "etcdctl alarm list",
            "etcdctl compact ...; etcdctl defrag; etcdctl alarm disarm",
        )
        yield Problem(instance, "etcd-full", text, commands, True, _stands(store))
    elif largest := max((one.size or 0 for one in well), default=0):
        if largest > FULL:
            text = f"etcd of App {instance} has {largest / 1e9:.1f} GB, and is full at 2 GB"
            command = "grep -s ETCD_AUTO_COMPACTION_RETENTION /etc/default/etcd"
            cost = f"once it is full, {_stands(store)}"
            yield Problem(instance, "etcd-size", text, (command, "etcdctl defrag"), False, cost)
    number = next((one.members for one in well if one.members), None)
    if number is not None and number < 3:
        text = f"etcd of App {instance} has {number} member{'s' * (number > 1)}"
        cost = f"if one is lost, {_stands(store)}"
        yield Problem(instance, "etcd-members", text, ("etcdctl member list",), False, cost)
    elif number is not None and number > len(store.endpoints):
        named = f"{len(store.endpoints)} of etcd's {number} members"
        text = f"SENDRECV_STORE= of App {instance} names {named}"
        cost = "if these are lost, the others are not asked"
        yield Problem(instance, "etcd-endpoints", text, ("etcdctl member list",), False, cost)


def _stands(store: StoreConfig) -> str:
    return "the host that counts goes on without the lease" if store.continues else "counting waits"


def _unreachable(instance: str, store: StoreConfig, answers: Sequence[Asked]) -> Iterator[Problem]:
    if refused := next((one for one in answers if one.is_refused), None):
        text = f"etcd of App {instance} refuses its user: {plain(refused.error)}"
        commands = ("etcdctl user list", f"systemctl cat sender@{instance}")
        yield Problem(instance, "etcd-auth", text, commands, True, "the App cannot be started")
        return
    lost = [one for one in answers if one.error]
    if not lost:
        return
    why = ", ".join(f"{plain(one.endpoint)} ({plain(one.error)})" for one in lost)
    commands = ("etcdctl endpoint health --cluster", "systemctl status etcd")
    if len(lost) == len(answers):
        text = f"no endpoint of etcd answers App {instance}: {why}"
        yield Problem(instance, "etcd-silent", text, commands, True, _stands(store))
    else:
        text = (
            f"etcd of App {instance}: {len(lost)} of {len(answers)} endpoints do not answer: {why}"
        )
        cost = "if more are lost, " + _stands(store)
        yield Problem(instance, "etcd-member", text, commands, False, cost)


def _clusters(instance: str, answers: Sequence[Asked]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for one in answers:
        if one.cluster:
            first.setdefault(one.cluster, one.endpoint)
    if len(first) > 1:
        names = quoted(" and ".join(first.values()))[1:-1]
        text = f"SENDRECV_STORE= of App {instance} names members of several clusters: {names}"
        command = f"sensible-editor /etc/sendrecv/{instance}.env"
        cost = "a key that one of them does not have means nothing: its endpoints are not believed"
        yield Problem(instance, "etcd-clusters", text, (command,), True, cost)
