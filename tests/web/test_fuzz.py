"""Whatever is asked, and however: no answer is a server's error, and the server goes on."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histq.settings import Settings
from histq.web.api import ENDPOINTS
from tests.web import lay, said, serving, settings_in

fuzz = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = settings_in(tmp_path_factory.mktemp("fuzz"))
    lay(made)
    return made


@pytest.fixture(scope="module")
def asked(laid: Settings) -> Iterator[httpx.Client]:
    with serving(laid) as client:
        yield client


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(-(2**70), 2**70).map(str)
DATES = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.dates().map(lambda day: day.isoformat()),
    st.builds("{}{}".format, st.integers(0, 10**7), st.sampled_from("mhdwyM")),
    st.sampled_from(["now", "listing", "0001-01-01", "9999-12-31T23:59:59.999999Z"]),
)
GOOD = {
    "source": st.sampled_from(["binance", "coingecko"]),
    "symbol": st.sampled_from(["BTCUSDT", "ETHUSDT", "BTC"]),
    "interval": st.sampled_from(["1h", "1d", "1M", "spot"]),
    "from": DATES,
    "to": DATES,
    "limit": st.integers(1, 5000).map(str),
    "cursor": st.integers(0, 2**63 - 1).map(str),
    "step_s": st.integers(1, 604_800).map(str),
}


@st.composite
def requests(draw: st.DrawFn) -> str:
    """A path of the API with parameters that are mostly its own, and mostly good."""
    endpoint = draw(st.sampled_from(ENDPOINTS))
    given_: dict[str, str] = {}
    for one in endpoint.parameters:
        if one.required or draw(st.booleans()):
            good = GOOD[one.name]
            given_[one.name] = draw(st.one_of(good, good, good, TEXT, NUMBERS, DATES))
    if draw(st.integers(0, 9)) == 0:
        given_[draw(TEXT)] = draw(TEXT)
    return f"{endpoint.path}?{urlencode(given_)}"


@given(requests())
@fuzz
def test_no_parameter_makes_a_server_error(asked: httpx.Client, path: str) -> None:
    answer = asked.get(path)

    assert answer.status_code in (200, 400, 404, 414), answer.text
    document: Mapping[str, Any] = answer.json()
    assert document["schema"] == 1
    assert ("error" in document) == (answer.status_code != 200)


@given(st.binary(max_size=200))
@fuzz
def test_no_query_of_bytes_makes_a_server_error(asked: httpx.Client, query: bytes) -> None:
    quoted = b"".join(b"%%%02x" % byte for byte in query)
    head = b"GET /api/prices?source=" + quoted + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert said(asked, head) in (400, 404)


@given(
    st.one_of(
        st.binary(min_size=1, max_size=300),
        st.builds(
            lambda *parts: b"".join(parts),
            st.sampled_from([b"GET /", b"HEAD /api/stats", b"POST /", b"\x00", b"PRI * "]),
            st.binary(max_size=50),
            st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/2.0\r\n", b"\r\n", b""]),
            st.binary(max_size=100),
        ),
    ).map(lambda sent: sent + b"\r\n\r\n")
)
@fuzz
def test_no_bytes_make_a_server_error(asked: httpx.Client, sent: bytes) -> None:
    assert said(asked, sent) < 500
