"""Where it may listen, and under which names it is asked for."""

import socket

import pytest

from histq.errors import Config
from histq.web.address import Hosts, bind, refuse_open, resolve, wrong_hosts

LONG = "x" * 16


@pytest.mark.parametrize(
    ("listen", "ip", "port"),
    [
        pytest.param("127.0.0.1:8787", "127.0.0.1", 8787, id="IPv4"),
        pytest.param("[::1]:80", "::1", 80, id="IPv6"),
        pytest.param("0.0.0.0:0", "0.0.0.0", 0, id="any port everywhere"),
    ],
)
def test_an_address_is_host_and_port(listen: str, ip: str, port: int) -> None:
    found = resolve(listen)

    assert (found.ip, found.port, str(found)) == (ip, port, listen)


@pytest.mark.parametrize(
    "listen",
    ["", "8787", ":8787", "127.0.0.1", "::1:8787", "host:port", "h:65536", "http://h:1", "a b:1"],
)
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(Config, match=r"^--listen .* is no address; write HOST:PORT, such as"):
        resolve(listen)


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(Config, match=r"^--listen no\.such\.invalid:1: no address is known of"):
        resolve("no.such.invalid:1")


@pytest.mark.parametrize("token", ["", LONG])
@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"])
def test_the_loopback_needs_no_token(listen: str, token: str) -> None:
    refuse_open(resolve(listen), token)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"])
def test_any_other_address_needs_a_token(listen: str) -> None:
    with pytest.raises(Config, match="can be reached from other machines, so it needs a token"):
        refuse_open(resolve(listen), "")
    refuse_open(resolve(listen), LONG)


def test_a_token_that_can_be_guessed_is_refused_off_the_loopback() -> None:
    with pytest.raises(Config, match="needs one of at least 16 characters"):
        refuse_open(resolve("0.0.0.0:1"), "x" * 15)


@pytest.mark.parametrize("token", ["with a blank", "naïve-as-a-token-may-be", "line\nbreak"])
def test_a_token_that_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(Config, match="holds characters that no header carries"):
        refuse_open(resolve("127.0.0.1:1"), token)


def test_an_address_that_this_machine_has_not_is_no_matter_of_the_port() -> None:
    with pytest.raises(Config, match="name an address that this machine has"):
        bind(resolve("192.0.2.1:8787"))


def test_names_of_hosts_are_names_alone() -> None:
    names = ["prices.example.com", "http://x/", "prices.example.com:443", "", "localhost"]

    assert wrong_hosts(names) == ["http://x/", "prices.example.com:443", ""]


@pytest.mark.parametrize(
    "header",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:8787", "127.1.2.3", "[::1]:99"],
)
def test_the_names_of_the_loopback_are_known(header: str) -> None:
    assert Hosts(resolve("127.0.0.1:8787")).known(header) is True


@pytest.mark.parametrize(
    "header",
    ["evil.example", "localhost.evil.example", "192.0.2.1", "10.0.0.1:8787", "[2001:db8::1]"],
)
def test_other_names_and_addresses_are_not(header: str) -> None:
    assert Hosts(resolve("127.0.0.1:8787")).known(header) is False


@pytest.mark.parametrize("header", ["", "a b", "a/b", "[::1", "host:port", "user@localhost", "é"])
def test_what_is_no_host_is_neither(header: str) -> None:
    assert Hosts(resolve("127.0.0.1:8787")).known(header) is None


def test_the_name_listened_on_and_those_of_a_proxy_are_known() -> None:
    hosts = Hosts(resolve("192.0.2.1:80"), ["Prices.Example"])

    assert [hosts.known(name) for name in ("192.0.2.1", "prices.example:443", "192.0.2.2")] == [
        True,
        True,
        False,
    ]


def test_who_listens_everywhere_is_known_by_every_address_and_by_no_name() -> None:
    hosts = Hosts(resolve("0.0.0.0:80"))

    assert (hosts.known("192.0.2.7:80"), hosts.known("evil.example")) == (True, False)


def test_a_name_is_resolved() -> None:
    assert resolve("localhost:1").family in (socket.AF_INET, socket.AF_INET6)
    assert resolve("localhost:1").loopback
