"""Pages of candles: packed, shown as JSON, screened, and freed of repeats."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from histq.errors import Poison
from histq.model import FIELDS, WIDTH, Candle
from histq.page import (
    Flat,
    Number,
    as_json,
    ascending,
    changed,
    contradicts,
    distinct,
    fault,
    flatten,
    from_json,
    pack,
    rows,
    screen,
    timestamps,
    unpack,
)

NOW = 1_700_000_000_000
DAY = 86_400_000
NAN, INF = float("nan"), float("inf")
GOOD = Candle(NOW - DAY, 2.0, 4.0, 1.0, 3.0, 10.0, 30.0, 7, 5.0, 15.0, NOW - 1)


def flat(*candles: Candle) -> Flat:
    return flatten(candles)


numbers = st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
any_page = st.lists(st.lists(numbers, min_size=WIDTH, max_size=WIDTH), max_size=4).map(
    lambda found: [number for row in found for number in row]
)


def test_a_flat_page_has_the_fields_of_each_candle_in_order() -> None:
    found = flat(Candle(1, close=2.0), Candle(3, close=4.0))

    assert found == [1, None, None, None, 2.0, *[None] * 6, 3, None, None, None, 4.0, *[None] * 6]
    assert timestamps(found) == [1, 3]
    assert rows(found) == [Candle(1, close=2.0), Candle(3, close=4.0)]


@settings(deadline=None)
@given(page=any_page)
def test_a_packed_page_unpacks_to_the_same_numbers(page: Flat) -> None:
    found = unpack(pack(page))

    assert found == page
    assert list(map(type, found)) == list(map(type, page))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(b'{"candles": []}', id="JSON"),
        pytest.param(pack([1, 2.0])[:-3], id="cut off"),
        pytest.param(pack([0] * WIDTH) + b"\x00", id="more after the end"),
        pytest.param(pack([0] * (WIDTH - 1)), id="too few numbers"),
        pytest.param(pack([0] * (WIDTH + 1)), id="too many numbers"),
        pytest.param(msgspec.msgpack.encode((2, [])), id="another codec"),
        pytest.param(msgspec.msgpack.encode((1, ["1"] * WIDTH)), id="text for numbers"),
        pytest.param(msgspec.msgpack.encode((1, [True] * WIDTH)), id="truth for numbers"),
        pytest.param(msgspec.msgpack.encode([]), id="no version"),
    ],
)
def test_bytes_that_are_no_page_are_poison(body: bytes) -> None:
    with pytest.raises(Poison):
        unpack(body)


@settings(deadline=None)
@given(body=st.binary(max_size=60))
def test_no_bytes_bring_unpack_down(body: bytes) -> None:
    try:
        page = unpack(body)
    except Poison:
        return

    assert len(page) % WIDTH == 0


def test_a_page_is_shown_by_field_name() -> None:
    shown = json.loads(as_json(pack(flat(GOOD))))

    assert shown == {
        "candles": [
            {
                "timestamp": 1_699_913_600_000,
                "open": 2.0,
                "high": 4.0,
                "low": 1.0,
                "close": 3.0,
                "volume": 10.0,
                "quote_volume": 30.0,
                "trades": 7,
                "taker_buy_volume": 5.0,
                "taker_buy_quote_volume": 15.0,
                "close_time": 1_699_999_999_999,
            }
        ]
    }


def test_what_json_has_no_number_for_is_shown_as_text() -> None:
    shown = as_json(pack(flat(Candle(0, open=NAN, high=INF, low=-INF, close=None))))

    (candle,) = json.loads(shown, parse_constant=pytest.fail)["candles"]
    assert [candle[name] for name in ("open", "high", "low", "close")] == [
        "nan",
        "inf",
        "-inf",
        None,
    ]


@settings(deadline=None)
@given(page=any_page)
def test_a_shown_page_packs_to_the_same_bytes(page: Flat) -> None:
    assert from_json(as_json(pack(page))) == pack(page)


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
def test_a_shown_number_that_is_not_finite_packs_again(value: float) -> None:
    body = pack(flat(Candle(0, close=value)))

    (found,) = rows(unpack(from_json(as_json(body))))

    assert found.close is not None
    assert str(found.close) == str(value)


@settings(deadline=None)
@given(body=st.binary(max_size=40))
def test_broken_bytes_survive_being_shown(body: bytes) -> None:
    assert from_json(as_json(body)) == body


def test_a_shown_page_may_be_edited_and_fields_left_out() -> None:
    body = from_json('{"candles": [{"timestamp": 5, "close": 1.5, "note": "mine"}]}')

    assert rows(unpack(body)) == [Candle(5, close=1.5)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="no JSON"),
        pytest.param("null", id="null"),
        pytest.param("5", id="a number"),
        pytest.param('"packed"', id="text"),
        pytest.param("[]", id="a list"),
        pytest.param('{"body": "<html>"}', id="a body"),
        pytest.param('{"candles": 5}', id="candles are a number"),
        pytest.param('{"candles": [5]}', id="a candle is a number"),
        pytest.param('{"candles": [{"timestamp": 1, "close": "much"}]}', id="words for a number"),
        pytest.param('{"candles": [{"timestamp": 1, "close": [2]}]}', id="a list for a number"),
        pytest.param('{"candles": [{"timestamp": 1, "close": true}]}', id="truth for a number"),
        pytest.param(f'{{"candles": [{{"timestamp": {10**20}}}]}}', id="too big a number"),
        pytest.param('{"packed": 5}', id="packed is a number"),
        pytest.param('{"packed": "*"}', id="packed is no base64"),
    ],
)
def test_text_that_shows_no_page_is_poison(text: str) -> None:
    with pytest.raises(Poison):
        from_json(text)


class Change(NamedTuple):
    """One thing wrong with a good candle."""

    fields: dict[str, Any]
    why: str


FAULTS = [
    pytest.param(Change({"timestamp": -1}, "open time is no instant"), id="before 1970"),
    pytest.param(Change({"timestamp": 1.5}, "open time is no instant"), id="a fraction of a ms"),
    pytest.param(Change({"timestamp": None}, "open time is no instant"), id="no open time"),
    pytest.param(Change({"timestamp": NAN}, "open time is no instant"), id="open time is NaN"),
    pytest.param(
        Change({"timestamp": NOW + DAY + 1}, "open time is in the future"), id="past tomorrow"
    ),
    pytest.param(
        Change({"timestamp": (NOW - DAY) * 1000}, "open time is in the future"), id="microseconds"
    ),
    pytest.param(Change({"close": None}, "no close"), id="no close"),
    pytest.param(Change({"close": NAN}, "close is not finite"), id="close not a number"),
    pytest.param(Change({"open": INF}, "open is not finite"), id="open infinite"),
    pytest.param(Change({"low": -INF}, "low is not finite"), id="low infinite"),
    pytest.param(Change({"volume": NAN}, "volume is not finite"), id="volume not a number"),
    pytest.param(
        Change({"taker_buy_quote_volume": INF}, "taker_buy_quote_volume is not finite"),
        id="taker volume infinite",
    ),
    pytest.param(Change({"low": -0.5}, "low is negative"), id="low below zero"),
    pytest.param(Change({"volume": -1.0}, "volume is negative"), id="volume below zero"),
    pytest.param(Change({"trades": -1}, "trades is negative"), id="trades below zero"),
    pytest.param(Change({"close_time": -1}, "close_time is negative"), id="closes before 1970"),
    pytest.param(
        Change({"trades": 1.5}, "trades or close time is no whole number"), id="half a trade"
    ),
    pytest.param(
        Change({"close_time": 1.5}, "trades or close time is no whole number"), id="half a ms"
    ),
    pytest.param(Change({"high": 0.5}, "high is below low"), id="high below low"),
    pytest.param(Change({"open": 4.5}, "open is above high"), id="open above high"),
    pytest.param(Change({"open": 0.5}, "open is below low"), id="open below low"),
    pytest.param(Change({"close": 4.5}, "close is above high"), id="close above high"),
    pytest.param(Change({"close": 0.5}, "close is below low"), id="close below low"),
    pytest.param(
        Change({"high": None, "close": 0.5}, "close is below low"), id="close below low, no high"
    ),
    pytest.param(
        Change({"low": None, "open": 4.5}, "open is above high"), id="open above high, no low"
    ),
]


@pytest.mark.parametrize("change", FAULTS)
def test_a_bad_candle_has_a_reason(change: Change) -> None:
    assert fault(replace(GOOD, **change.fields), NOW) == change.why


@pytest.mark.parametrize("change", FAULTS)
def test_a_bad_candle_is_screened_and_its_neighbours_stay(change: Change) -> None:
    bad = replace(GOOD, **change.fields)
    before, after = replace(GOOD, timestamp=1), replace(GOOD, timestamp=2)

    good, faults = screen(flat(before, bad, after), NOW)

    assert good == flat(before, after)
    assert [found.why for found in faults] == [change.why]


@pytest.mark.parametrize("change", FAULTS)
def test_a_bad_candle_alone_on_its_page_is_screened(change: Change) -> None:
    good, faults = screen(flat(replace(GOOD, **change.fields)), NOW)

    assert good == []
    assert [found.why for found in faults] == [change.why]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="all known"),
        pytest.param({"timestamp": 0}, id="1970"),
        pytest.param({"timestamp": NOW + DAY}, id="a day ahead"),
        pytest.param({"timestamp": NOW - DAY + 1_694_789}, id="off the grid"),
        pytest.param({"trades": 0, "volume": 0.0}, id="no trades"),
        pytest.param({"open": 0.0, "low": 0.0}, id="price zero"),
        pytest.param({"open": 1.0, "high": 3.0}, id="open is low and close is high"),
        pytest.param({"open": None, "high": None, "low": None}, id="close alone"),
        pytest.param({"high": None, "open": 9.0}, id="no high"),
        pytest.param({"low": None, "open": 0.5}, id="no low"),
        pytest.param({"volume": 1e308, "quote_volume": 1e308}, id="very big"),
    ],
)
def test_what_markets_do_is_no_fault(fields: dict[str, Any]) -> None:
    candle = replace(GOOD, **fields)

    assert fault(candle, NOW) is None
    assert screen(flat(candle, candle), NOW) == (flat(candle, candle), [])


def test_a_sound_page_in_order_is_not_copied() -> None:
    sound = flat(replace(GOOD, timestamp=1), replace(GOOD, timestamp=2))

    assert screen(sound, NOW)[0] is sound


@pytest.mark.parametrize("times", [[2, 1], [1, 1]], ids=["falling", "a repeat"])
def test_a_sound_page_out_of_order_is_not_taken_for_one_in_order(times: list[int]) -> None:
    page = flat(*(replace(GOOD, timestamp=time) for time in times))

    good, faults = screen(page, NOW)

    assert good is not page
    assert (good, faults) == (page, [])


def test_an_empty_page_has_no_faults() -> None:
    assert screen([], NOW) == ([], [])


prices = st.sampled_from([0.0, 1.0, 2.0, 3.0, 1, 2, 1e308, -1.0, NAN, INF, -INF, -0.0])
counts = st.sampled_from([0, 1, 7, 2**63, -1, 1.0, NAN])
times = st.sampled_from([0, 1, NOW, NOW + DAY, NOW + DAY + 1, -1, 5.0])
sound: dict[str, st.SearchStrategy[Number]] = {
    "timestamp": st.sampled_from([0, 1, NOW]),
    "open": st.just(2.0),
    "high": st.sampled_from([2.0, 3]),
    "low": st.sampled_from([1.0, 2.0]),
    "close": st.sampled_from([2, 2.0]),
    "trades": st.sampled_from([0, 3]),
    "close_time": st.just(5),
}


@st.composite
def screened_pages(draw: st.DrawFn) -> Flat:
    """Pages in which most candles are sound, and columns are silent now here, now throughout."""
    length = draw(st.integers(1, 5))
    columns: list[list[Number]] = []
    for name in FIELDS:
        whole = sound.get(name, st.sampled_from([0.0, 5.5]))
        own = counts if name in ("trades", "close_time") else prices
        wild = times if name == "timestamp" else own
        kind = draw(st.sampled_from(["sound"] * 6 + ["silent", "mixed", "wild"]))
        strategy: st.SearchStrategy[Number] = {
            "sound": whole,
            "silent": st.none(),
            "mixed": st.none() | whole,
            "wild": st.none() | whole | wild,
        }[kind]
        columns.append(draw(st.lists(strategy, min_size=length, max_size=length)))
    return [number for row in zip(*columns, strict=True) for number in row]


@settings(max_examples=250, deadline=None)
@given(page=screened_pages())
def test_screening_a_page_agrees_with_looking_at_every_candle(page: Flat) -> None:
    verdicts = [(candle, fault(candle, NOW)) for candle in rows(page)]

    good, faults = screen(page, NOW)

    # By repr: NaN does not equal itself, and 1 is not 1.0 here.
    assert repr(rows(good)) == repr([candle for candle, why in verdicts if why is None])
    assert repr([tuple(found) for found in faults]) == repr(
        [(candle, why) for candle, why in verdicts if why is not None]
    )


@pytest.mark.parametrize(
    ("open_times", "expected"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([5], True, id="one"),
        pytest.param([1, 2, 9], True, id="rising"),
        pytest.param([1, 1], False, id="a repeat"),
        pytest.param([2, 1], False, id="falling"),
        pytest.param([1, 3, 2], False, id="falling at the end"),
        pytest.param([None], False, id="none at all"),
        pytest.param([1.0, 2.0], False, id="no whole numbers"),
    ],
)
def test_ascending_means_that_open_times_strictly_rise(
    open_times: list[Any], expected: bool
) -> None:
    assert ascending(flat(*(Candle(time, close=1.0) for time in open_times))) is expected


def test_pages_without_repeats_are_left_as_they_are() -> None:
    pages = [flat(Candle(5, close=1.0)), [], flat(Candle(1, close=2.0), Candle(2, close=3.0))]

    assert distinct(pages) == (pages, [], 0)


def test_pages_known_to_rise_may_still_repeat_each_other() -> None:
    one, two, two_later = Candle(1, close=1.0), Candle(2, close=2.0), Candle(2, close=9.0)

    found = distinct([flat(one, two), flat(two_later)], rising=True)

    assert found == ([flat(one, two), []], [(two, two_later)], 1)


def test_the_first_page_to_tell_a_candle_keeps_it() -> None:
    one, two = Candle(1, close=1.0), Candle(2, close=2.0)
    two_later, three = Candle(2, close=9.0), Candle(3, close=3.0)

    found = distinct([flat(one, two), flat(two_later, three)])

    assert found == ([flat(one, two), flat(three)], [(two, two_later)], 1)


def test_a_repeat_that_says_the_same_does_not_differ() -> None:
    told = Candle(1, open=1.0, close=2.0)

    found = distinct([flat(told), flat(Candle(1, close=2.0))])

    assert found == ([flat(told), []], [], 1)


def test_a_repeat_within_a_page_is_dropped() -> None:
    first, later = Candle(1, close=1.0), Candle(1, close=2.0)

    assert distinct([flat(first, later)]) == ([flat(first)], [(first, later)], 1)


def test_a_page_out_of_order_is_put_in_order() -> None:
    one, two = Candle(1, close=1.0), Candle(2, close=2.0)

    assert distinct([flat(two, one)]) == ([flat(one, two)], [], 0)


@settings(deadline=None)
@given(
    told=st.lists(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), max_size=6), max_size=4)
)
def test_distinct_agrees_with_a_dictionary(told: list[list[tuple[int, int]]]) -> None:
    pages = [[Candle(time, close=float(close)) for time, close in page] for page in told]
    kept: dict[int, Candle] = {}
    expected = []
    for candle in (candle for page in pages for candle in page):
        if kept.setdefault(candle.timestamp, candle).close != candle.close:
            expected.append((kept[candle.timestamp], candle))

    found, differing, dropped = distinct([flatten(page) for page in pages])

    assert len(found) == len(pages)
    assert all(map(ascending, found))
    stored = [candle for page in found for candle in rows(page)]
    assert len(stored) == len(kept)
    assert {candle.timestamp: candle for candle in stored} == kept
    assert differing == expected
    assert dropped == sum(map(len, pages)) - len(kept)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param({}, {}, id="the same"),
        pytest.param({"close": 3.5}, {"close": (3.0, 3.5)}, id="another close"),
        pytest.param({"close": 3}, {}, id="the same as a whole number"),
        pytest.param({"open": None, "trades": None}, {}, id="silence"),
        pytest.param({"trades": 8, "low": 0.5}, {"low": (1.0, 0.5), "trades": (7, 8)}, id="two"),
    ],
)
def test_a_later_candle_contradicts_by_the_values_it_says(
    later: dict[str, Any], expected: dict[str, tuple[Number, Number]]
) -> None:
    candle = replace(GOOD, **later)

    assert changed(GOOD, candle) == expected
    assert contradicts(GOOD, candle) is bool(expected)


def test_a_value_where_there_was_none_contradicts() -> None:
    assert changed(Candle(1, close=1.0), Candle(1, close=1.0, volume=2.0)) == {
        "volume": (None, 2.0)
    }
