"""Who is answered, and what every answer carries."""

import base64
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from histq.settings import Settings
from tests.web import TOKEN, lay, said, serving, settings_in

PATHS = [
    *("/", "/healthz", "/readyz", "/metrics", "/assets/dashboard.js", "/assets/plotly.min.js"),
    *("/api/health", "/api/stats", "/api/series", "/api/queue", "/api/throughput", "/api/coverage"),
    *("/api/openapi.json", "/api/prices?source=binance&symbol=BTCUSDT&interval=1h", "/nothing"),
]


@pytest.fixture
def guarded(settings: Settings) -> Iterator[httpx.Client]:
    with serving(settings, token=SecretStr(TOKEN)) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_served_without_the_token(guarded: httpx.Client, path: str) -> None:
    answer = guarded.get(path)

    assert answer.status_code == 401
    assert answer.json() == {
        "schema": 1,
        "error": "the token is missing or wrong; send Authorization: Bearer TOKEN",
    }
    assert answer.headers.get_list("www-authenticate") == [
        'Bearer realm="histq"',
        'Basic realm="histq"',
    ]


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(f"Bearer {TOKEN}", 200, id="bearer"),
        pytest.param(f"bEARER  {TOKEN}", 200, id="any case"),
        pytest.param(basic(f"anyone:{TOKEN}"), 200, id="password"),
        pytest.param(basic(f":{TOKEN}"), 200, id="password of nobody"),
        pytest.param(f"Bearer {TOKEN}x", 401, id="longer"),
        pytest.param(f"Bearer {TOKEN[:-1]}", 401, id="shorter"),
        pytest.param(f"Bearer {TOKEN.upper()}", 401, id="other case"),
        pytest.param("Bearer", 401, id="no token"),
        pytest.param("", 401, id="nothing"),
        pytest.param(TOKEN, 401, id="no scheme"),
        pytest.param(f"Token {TOKEN}", 401, id="another scheme"),
        pytest.param(basic(TOKEN), 401, id="no colon"),
        pytest.param(basic(f"{TOKEN}:"), 401, id="as the name"),
        pytest.param("Basic !!!", 401, id="no base64"),
        pytest.param("Basic é", 401, id="no ASCII"),
    ],
)
def test_the_token_is_taken_as_a_bearer_or_a_password(
    guarded: httpx.Client, authorization: str, status: int
) -> None:
    header = [(b"Authorization", authorization.encode("latin-1"))]

    assert guarded.get("/healthz", headers=header).status_code == status


def test_two_tokens_are_none(guarded: httpx.Client) -> None:
    header = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]

    assert guarded.get("/healthz", headers=header).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost", 200, id="localhost"),
        pytest.param("127.0.0.1:1", 200, id="another port, as through a tunnel"),
        pytest.param("evil.example", 421, id="a name that was made to point here"),
        pytest.param("127.0.0.1.evil.example", 421, id="one that looks like us"),
        pytest.param("192.0.2.1", 421, id="another address"),
        pytest.param("", 400, id="none"),
        pytest.param("a b", 400, id="no host"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/stats", "/assets/dashboard.js"])
def test_only_our_own_names_are_answered(
    client: httpx.Client, host: str, status: int, path: str
) -> None:
    assert client.get(path, headers={"Host": host}).status_code == status


def test_a_name_of_a_proxy_is_answered_where_it_was_told(settings: Settings) -> None:
    with serving(settings, hosts=["prices.example"]) as client:
        told = client.get("/healthz", headers={"Host": "prices.example"})
        other = client.get("/healthz", headers={"Host": "evil.example"})

    assert (told.status_code, other.status_code) == (200, 421)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/api/stats")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    got, headed = client.get(path), client.head(path)

    assert headed.status_code == got.status_code
    assert headed.content == b""
    assert headed.headers["content-type"] == got.headers["content-type"]


HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(HEAD + b"\r\n", 200, id="a good one"),
        pytest.param(
            b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, id="URL"
        ),
        pytest.param(HEAD + b"X: " + b"a" * 300_000 + b"\r\n\r\n", 400, id="a header"),
        pytest.param(HEAD + b"X: a\r\n" * 60_000 + b"\r\n", 400, id="headers"),
        pytest.param(HEAD + b"Content-Length: 5\r\n\r\n", 413, id="a body"),
        pytest.param(HEAD + b"Content-Length: 999999999999\r\n\r\n", 413, id="a large body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 413, id="a body in pieces"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", 400, id="a length below nothing"),
        pytest.param(HEAD + b"Host: localhost\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET /healthz HTTP/1.0\r\n\r\n", 400, id="no host, as was usual"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="a path of bytes"),
        pytest.param(
            b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, id="a path of escapes"
        ),
        pytest.param(
            b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, id="two slashes"
        ),
        pytest.param(
            b"GET /assets/..%2f__init__.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
            404,
            id="up and out",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(b"\r\n" * 20_000, 400, id="empty lines"),
        pytest.param(
            HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200, id="a WebSocket"
        ),
    ],
)
def test_a_malformed_or_oversized_request_breaks_nothing(
    client: httpx.Client, request_: bytes, status: int
) -> None:
    assert said(client, request_) == status
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("header", [b"X: " + b"a" * 20_000 + b"\r\n", b"X: a\r\n" * 4_000])
def test_a_long_head_is_refused_whether_it_comes_at_once_or_in_pieces(
    client: httpx.Client, header: bytes
) -> None:
    # How a connection cuts it is not ours to say: 431 when it came whole, 400 when it did not.
    assert said(client, HEAD + header + b"\r\n") in (400, 431)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/", {}, 200, id="the page"),
        pytest.param("/api/stats", {}, 200, id="a document"),
        pytest.param("/nothing", {}, 404, id="nothing"),
        pytest.param("/api/prices", {}, 400, id="a wrong parameter"),
        pytest.param("/", {"Host": "evil.example"}, 421, id="a forged host"),
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(
    client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.get(path, headers=headers)

    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers


def test_no_answer_holds_a_secret(settings: Settings) -> None:
    folder = settings.database.path.parent / "keyed"
    folder.mkdir()
    keyed = settings_in(folder, sources={"cryptocompare": {"api_key": "the-key-of-a-provider"}})
    lay(keyed)
    allowed = {"Authorization": f"Bearer {TOKEN}"}

    with serving(keyed, token=TOKEN) as client:
        texts = [client.get(path, headers=allowed).text for path in PATHS]

    assert len("".join(texts)) > 1_000_000
    assert not any(secret in text for text in texts for secret in ("the-key-of", TOKEN))
