"""The client of etcd by TLS: whom it trusts, whom it tells its password, and who it says it is."""

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from sendrecv.sender.etcd import Credentials, Endpoint, Etcd, EtcdError
from tests.lab.paths import TOP
from tests.lab.waiting import HANG, wait_until
from tests.peers.fake_etcd import HEADER, Asked, FakeEtcd, encoded, http, says

CERTIFICATES = TOP / "tests/lab/certificates"
CA = str(CERTIFICATES / "ca.pem")
ABSENT = {"header": HEADER}


def server(name: str, *, asks: bool = False) -> ssl.SSLContext:
    """asks: for the client's certificate, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    if asks:
        context.load_verify_locations(CA)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def answer(asked: Asked) -> list[bytes]:
    says_token = asked.path.endswith("authenticate")
    return list(says({**ABSENT, "token": "a-token"} if says_token else ABSENT)(asked))


def test_a_certificate_that_is_right() -> None:
    credentials = Credentials("one", "password", CA)
    with FakeEtcd(answer, server("good")) as fake:
        one = Etcd([fake.endpoint], credentials, tls=True)
        for _ in range(3):
            assert one.get("app", HANG) is None
        one.close()
        assert [asked.token for asked in fake.asked] == [None] + 3 * ["a-token"]
        assert fake.connections == 1


@pytest.mark.parametrize(
    ("certificate", "ca", "words"),
    [
        ("wrong-name", CA, "its certificate is not trusted: IP address mismatch"),
        ("expired", CA, "its certificate is not trusted: certificate has expired"),
        ("self-signed", CA, "does SENDRECV_ETCD_CA= name the certificate of its CA?"),
        ("other", CA, "does SENDRECV_ETCD_CA= name the certificate of its CA?"),
        ("good", "", "does SENDRECV_ETCD_CA= name the certificate of its CA?"),
    ],
)
def test_a_certificate_that_is_not_trusted(certificate: str, ca: str, words: str) -> None:
    """Nothing is told: no password, no token, no key."""
    with FakeEtcd(answer, server(certificate)) as fake:
        one = Etcd([fake.endpoint], Credentials("one", "password", ca), tls=True)
        with pytest.raises(EtcdError) as caught:
            one.get("app", HANG)
        assert words in str(caught.value)
        one.close()
        assert not fake.asked


def test_the_name_is_checked() -> None:
    with FakeEtcd(answer, server("good")) as fake:
        by_name = Endpoint("localhost", fake.endpoint.port)
        for endpoint, is_right in ((by_name, True), (by_name.replace(host="127.0.0.2"), False)):
            one = Etcd([endpoint], Credentials(ca=CA), tls=True)
            if is_right:
                assert one.get("app", HANG) is None
            else:
                with pytest.raises(EtcdError):
                    one.get("app", HANG)
            one.close()


def test_no_tls_before_1_2() -> None:
    old = server("good")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with FakeEtcd(answer, old) as fake:
        one = Etcd([fake.endpoint], Credentials(ca=CA), tls=True)
        with pytest.raises(EtcdError, match="no TLS"):
            one.get("app", HANG)
        one.close()
        assert not fake.asked


def test_an_endpoint_without_tls() -> None:
    with FakeEtcd(answer) as plain:
        plain.answer = lambda _asked: [http(b"")]
        one = Etcd([plain.endpoint], Credentials("one", "password", CA), tls=True)
        with pytest.raises(EtcdError):
            one.get("app", 1.0)
        one.close()
        assert not plain.asked


def test_a_client_with_a_certificate() -> None:
    name = str(CERTIFICATES / "renewed.pem")
    with FakeEtcd(answer, server("good", asks=True)) as fake:
        one = Etcd([fake.endpoint], Credentials(ca=CA, certificate=name, key=name), tls=True)
        assert one.get("app", HANG) is None
        one.close()
        without = Etcd([fake.endpoint], Credentials(ca=CA), tls=True)
        with pytest.raises(EtcdError):
            without.get("app", HANG)
        without.close()


def test_files_that_change_are_read_again(tmp_path: Path) -> None:
    """A connection that is open stays as it is. A file that cannot be used changes nothing."""
    ca = tmp_path / "ca.pem"
    shutil.copy(CERTIFICATES / "other-ca.pem", ca)
    with FakeEtcd(answer, server("good")) as fake:
        one = Etcd([fake.endpoint], Credentials(ca=str(ca)), tls=True)
        with pytest.raises(EtcdError):
            one.get("app", HANG)
        replace(ca, Path(CA).read_bytes())
        assert one.get("app", HANG) is None
        for unusable in (b"garbage", None):
            replace(ca, unusable)
            fake.cut()
            assert one.get("app", HANG) is None
        one.close()
        assert fake.connections == 4


def replace(file: Path, data: bytes | None) -> None:
    """None: the file is removed."""
    if data is None:
        file.unlink()
        return
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.replace(file)


def encrypted(folder: Path) -> Path:
    """A key that has a password."""
    file = folder / "key.pem"
    file.write_text(ENCRYPTED, encoding="ascii")
    return file


# Of nobody: openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -passout pass:x
ENCRYPTED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg+3BGSNLrprwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFZmGbHtm6bJfhtNYWrHV+4EgZAm
vymLxcQTZG/GwL95BSyqXvurc6IUIu0rdrnax12wYBEr5ej/P4EHABrXzJFP1IL5
+MajuWG3b153uFJ42sw6JLc2lXXYB6LjGWU1/btIkhgButoDjpp8IVLFgZjeLiQR
ISXDJSfyjYg3hnp0Dh3KYj///nBLBX0VY///09WcGwX5Uez+vGLmtuTIBbVFgi4=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: Credentials(ca=str(folder / "none.pem")),
        lambda folder: Credentials(ca=str(folder)),
        lambda folder: Credentials(ca=CA, certificate=str(folder / "none.pem")),
        lambda folder: Credentials(ca=CA, certificate=CA),
        lambda folder: Credentials(
            ca=CA, certificate=str(CERTIFICATES / "good.pem"), key=str(encrypted(folder))
        ),
    ],
)
def test_files_that_cannot_be_used(make: Callable[[Path], Credentials], tmp_path: Path) -> None:
    """One line, and nobody is asked for a password."""
    with pytest.raises(EtcdError) as caught:
        Etcd([Endpoint("127.0.0.1", 1)], make(tmp_path), tls=True)
    text = str(caught.value)
    assert text.startswith("/") and text.isprintable()


def test_a_watch_by_tls() -> None:
    begun = b'{"result":{"created":true}}\n'
    woken: list[object] = []

    def watch(_asked: Asked) -> list[bytes]:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return [head + b"%x\r\n%s\r\n" % (len(begun), begun)]

    with FakeEtcd(watch, server("good")) as fake:
        one = Etcd([fake.endpoint], Credentials(ca=CA), tls=True)
        one.watch("app", woken.append)
        wait_until(lambda: woken, "it has begun")
        assert fake.asked[0].body == {"create_request": {"key": encoded(b"app")}}
        one.close()
        wait_until(lambda: fake.ended, "it has ended")
