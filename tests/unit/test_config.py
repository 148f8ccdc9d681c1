"""Settings: defaults, and errors that name file, key, value and what is allowed, on one line."""

import re
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.config import (
    MAX_CONNECTIONS,
    ReceiverConfig,
    SenderConfig,
    StoreConfig,
    receiver_config,
    sender_config,
)
from sendrecv.errors import ConfigError

OTHERS = {"PATH": "/bin", "STATE_DIRECTORY": "/x", "BOOT_ID": "0" * 32, "HOME": "/"}


def test_the_defaults() -> None:
    url = "unix:///run/sendrecv-socket/receiver.sock"
    assert sender_config("billing", "main", OTHERS) == SenderConfig("billing", "main", 1.0, url)
    assert sender_config("billing", "failover", {}) == SenderConfig("billing", "failover", 1.0, url)
    assert receiver_config(OTHERS) == ReceiverConfig(4096, 1024)


@pytest.mark.parametrize("url", ["unix:///a", "unix:///run/other/a-b.sock", f"unix:///{'x' * 106}"])
def test_a_unix_socket_can_be_set(url: str) -> None:
    assert sender_config("a", "main", {"SENDRECV_URL": url}).url == url


def test_what_can_be_set() -> None:
    environ = {
        "SENDRECV_APP_ID": "orders",
        "SENDRECV_MAIN_NODE_ID": "north",
        "SENDRECV_FAILOVER_NODE_ID": "south",
        "SENDRECV_INTERVAL": "0.25",
        "SENDRECV_URL": "https://receiver.example:8443",
        "SENDRECV_CA": "/etc/ssl/ca.pem",
    }
    url, ca = environ["SENDRECV_URL"], environ["SENDRECV_CA"]
    expected = SenderConfig("orders", "south", 0.25, url, ca)
    assert sender_config("not a name", "failover", environ) == expected
    assert receiver_config({"SENDRECV_MAX_CONNECTIONS": "1"}) == ReceiverConfig(1, 1024)
    assert receiver_config({"SENDRECV_MAX_TCP_CONNECTIONS": "1"}) == ReceiverConfig(4096, 1)
    files = {"SENDRECV_TLS_CERTIFICATE": "/c.pem", "SENDRECV_TLS_KEY": "/k.pem"}
    assert receiver_config(files) == ReceiverConfig(4096, 1024, "/c.pem", "/k.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3:80", "127.255.0.1", "[::1]:3000"])
def test_this_machine_may_be_told_the_token_in_the_clear(host: str) -> None:
    assert sender_config("a", "main", {"SENDRECV_URL": f"http://{host}"}).url == f"http://{host}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://localhost", "http://127.0.0.1"),
        ("http://localhost:3000", "http://127.0.0.1:3000"),
        ("http://localhost:3000/", "http://127.0.0.1:3000/"),
        ("https://localhost:3000", "https://localhost:3000"),
        ("https://localhost.example", "https://localhost.example"),
    ],
)
def test_localhost_is_one_address_where_nothing_proves_who_is_there(url: str, meant: str) -> None:
    assert sender_config("a", "main", {"SENDRECV_URL": url}).url == meant


@pytest.mark.parametrize(("scheme", "meant"), [("etcd", "127.0.0.1"), ("etcds", "localhost")])
def test_and_so_for_etcd(scheme: str, meant: str) -> None:
    store = sender_config("a", "main", {"SENDRECV_STORE": f"{scheme}://localhost,b:1"}, "h").store
    assert store and store.endpoints == ((meant, 2379), ("b", 1))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("SENDRECV_APP_ID", "", "1 to 64 characters"),
        ("SENDRECV_APP_ID", "../etc", "1 to 64 characters"),
        ("SENDRECV_MAIN_NODE_ID", "a b", "1 to 64 characters"),
        ("SENDRECV_FAILOVER_NODE_ID", "x" * 65, "1 to 64 characters"),
        ("SENDRECV_INTERVAL", "", "a number from 0 to 86400"),
        ("SENDRECV_INTERVAL", "fast", "a number from 0 to 86400"),
        ("SENDRECV_INTERVAL", "-1", "a number from 0 to 86400"),
        ("SENDRECV_INTERVAL", "nan", "a number from 0 to 86400"),
        ("SENDRECV_INTERVAL", "inf", "a number from 0 to 86400"),
        ("SENDRECV_INTERVAL", "86401", "a number from 0 to 86400"),
        ("SENDRECV_URL", "", "an address like"),
        ("SENDRECV_URL", "127.0.0.1:3000", "an address like"),
        ("SENDRECV_URL", "ftp://host", "an address like"),
        ("SENDRECV_URL", "http://", "an address like"),
        ("SENDRECV_URL", "http://a\nb", "an address like"),
        ("SENDRECV_URL", "unix://", "an address like"),
        ("SENDRECV_URL", "unix:///", "an address like"),
        ("SENDRECV_URL", "unix:///a b", "an address like"),
        ("SENDRECV_URL", "unix:///a\n", "an address like"),
        ("SENDRECV_URL", f"unix:///{'x' * 107}", "an address like"),
        ("SENDRECV_URL", "http://192.0.2.1:3000", "https:// for another host"),
        ("SENDRECV_URL", "http://a:3", " write SENDRECV_URL=https://a:3, and SENDRECV_CA=FILE"),
        ("SENDRECV_URL", "http://127.0.0.1.example:3000", "https:// for another host"),
        ("SENDRECV_URL", "http://127.1", "https:// for another host"),
        # No addresses, so they are looked up as names.
        ("SENDRECV_URL", "http://127.0.0.256", "https:// for another host"),
        ("SENDRECV_URL", "http://127.0.0.09", "https:// for another host"),
        ("SENDRECV_URL", "http://localhost.example:3000", "https:// for another host"),
        ("SENDRECV_URL", "http://[::2]:3000", "https:// for another host"),
        ("SENDRECV_CA", "ca.pem", "the path of a file"),
    ],
)
def test_a_wrong_value_of_a_sender(key: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sender_config("billing", "main", {key: value})
    text = str(caught.value)
    assert text.startswith(f"/etc/sendrecv/billing.env: {key}=") and allowed in text
    assert value[:50].strip() in text.replace("\\n", "\n") and text.isprintable()


@pytest.mark.parametrize("value", ["", "-1", "604801", "nan", "1h"])
def test_token_overlap_out_of_bounds(value: str) -> None:
    with pytest.raises(ConfigError, match=r"SENDRECV_TOKEN_OVERLAP=.* from 0 to 604800"):
        receiver_config({"SENDRECV_TOKEN_OVERLAP": value})
    assert receiver_config({"SENDRECV_TOKEN_OVERLAP": "0"}).token_overlap == 0


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "many", str(MAX_CONNECTIONS + 1)])
def test_a_wrong_value_of_the_receiver(value: str) -> None:
    expected = (
        f"/etc/sendrecv/receiver.env: SENDRECV_MAX_CONNECTIONS='{value}':"
        f" must be a whole number from 1 to {MAX_CONNECTIONS}"
    )
    with pytest.raises(ConfigError) as caught:
        receiver_config({"SENDRECV_MAX_CONNECTIONS": value})
    assert str(caught.value) == expected


def test_an_instance_that_is_no_name_says_so() -> None:
    with pytest.raises(ConfigError, match=r"SENDRECV_APP_ID is not set, and the instance name 'a/"):
        sender_config("a/b", "main", {})


def test_an_instance_of_which_systemd_reads_no_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"^no App can be called 'a\\\\x20b': must be 1 to 64"):
        sender_config("a\\x20b", "main", {"SENDRECV_APP_ID": "a"})


@pytest.mark.parametrize("main", [None, "failover"])
def test_the_halves_must_differ(main: str | None) -> None:
    environ = {"SENDRECV_MAIN_NODE_ID": main} if main else {"SENDRECV_FAILOVER_NODE_ID": "main"}
    with pytest.raises(ConfigError) as caught:
        sender_config("billing", "main", environ)
    assert str(caught.value) == (
        "/etc/sendrecv/billing.env: SENDRECV_MAIN_NODE_ID and SENDRECV_FAILOVER_NODE_ID"
        f" are both {main or 'main'}: must be different"
    )


@pytest.mark.parametrize("key", ["SENDRECV_INTERVALL", "SENDRECV_", "SENDRECV_MAX_CONNECTIONS"])
def test_a_setting_that_is_none(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sender_config("billing", "main", {key: "1"})
    text = str(caught.value)
    assert text.startswith(f"/etc/sendrecv/billing.env: '{key}' is no setting: there are ")
    assert "SENDRECV_INTERVAL," in text and "BOOT_ID" not in text


def test_a_sender_setting_is_none_of_the_receiver() -> None:
    with pytest.raises(ConfigError, match="receiver.env: 'SENDRECV_URL' is no setting"):
        receiver_config({"SENDRECV_URL": "http://127.0.0.1:3000"})


_KEYS = ["APP_ID", "MAIN_NODE_ID", "FAILOVER_NODE_ID", "INTERVAL", "URL", "MAX_CONNECTIONS", "\n"]


@given(st.text(), st.dictionaries(st.sampled_from(_KEYS).map("SENDRECV_".__add__), st.text()))
def test_every_error_is_one_line(instance: str, environ: dict[str, str]) -> None:
    configures: tuple[Callable[[dict[str, str]], object], ...] = (
        partial(sender_config, instance, "main"),
        receiver_config,
    )
    for configure in configures:
        try:
            configure(environ)
        except ConfigError as error:
            assert str(error).isprintable()


# Several hosts

STORE = "etcd://a:2379,10.0.0.2,[fd00::3]:23790"


def test_an_app_of_several_hosts() -> None:
    store = StoreConfig(
        (("a", 2379), ("10.0.0.2", 2379), ("fd00::3", 23790)), False, "", 2.0, "web1", False
    )
    config = sender_config("one", "main", {"SENDRECV_STORE": STORE}, "web1")
    assert (config.store, config.node_id) == (store, "web1")
    assert sender_config("one", "failover", {"SENDRECV_STORE": STORE}, "web1").node_id == (
        "web1-failover"
    )
    environ = {
        "SENDRECV_STORE": "etcds://a/",
        "SENDRECV_LEASE": "1",
        "SENDRECV_ETCD_OUTAGE": "continue",
        "SENDRECV_ETCD_USER": "one",
        "SENDRECV_MAIN_NODE_ID": "x",
    }
    config = sender_config("one", "main", environ, "web1")
    assert config.store == StoreConfig((("a", 2379),), True, "one", 1.0, "web1", True)
    assert config.node_id == "x"


def test_without_a_store_the_name_of_the_host_does_not_matter() -> None:
    config = sender_config("one", "main", {"SENDRECV_LEASE": "1"}, "not a name")
    assert (config.store, config.node_id) == (None, "main")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        *[
            ("SENDRECV_STORE", value, "like etcd://a:2379,b:2379,c:2379")
            for value in (
                *(
                    "a:2379",
                    "http://a:2379",
                    "etcd://",
                    "etcd://a,",
                    "etcd://a:0",
                    "etcd://a:65536",
                ),
                *("etcd://a/b", "etcd://u:p@a:2379", "etcd://fd00::3", ",".join(["etcd://a"] * 10)),
            )
        ],
        ("SENDRECV_LEASE", "0.9", "a number from 1 to 60"),
        ("SENDRECV_LEASE", "61", "a number from 1 to 60"),
        ("SENDRECV_ETCD_OUTAGE", "go on", "stop or continue"),
        ("SENDRECV_ETCD_USER", "a\nb", "a name of at most 64 characters"),
    ],
)
def test_wrong_settings_of_several_hosts(key: str, value: str, allowed: str) -> None:
    environ = {"SENDRECV_STORE": "etcds://a", key: value}
    with pytest.raises(ConfigError, match=f"one.env: {key}=.*: must be {re.escape(allowed)}"):
        sender_config("one", "main", environ, "web1")


def test_a_password_is_not_sent_in_the_clear() -> None:
    """Not on loopback either, where any user may listen while etcd does not."""
    for name in ("localhost", "127.0.0.1", "[::1]", "a", "127.evil.example", "10.0.0.1"):
        environ = {"SENDRECV_STORE": f"etcd://{name}:1", "SENDRECV_ETCD_USER": "one"}
        with pytest.raises(ConfigError, match="etcds:// for a user: no password is sent"):
            sender_config("one", "main", environ, "web1")


def test_a_host_whose_name_cannot_be_a_node() -> None:
    with pytest.raises(ConfigError, match="SENDRECV_MAIN_NODE_ID is not set, and from the host"):
        sender_config("one", "main", {"SENDRECV_STORE": STORE}, "-x")
