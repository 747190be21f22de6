"""Which series are compared with each other, and why others are not."""

import pytest

from histq.errors import Usage
from histq.model import Interval, Series
from histq.pipeline.pairs import LeftOut, Obstacle, Pair, Terms, pair_up

AS_USD = Terms(as_usd=True)


def series(*names: str) -> list[Series]:
    """Of names such as binance/BTCUSDT/1h."""
    return [Series(*name.split("/")) for name in names]


def named(pair: Pair) -> tuple[str, str, str]:
    return str(pair.left), str(pair.right), pair.interval.name


def refusal(*names: str, terms: Terms = AS_USD) -> str:
    with pytest.raises(Usage) as refused:
        pair_up(series(*names), terms)
    return str(refused.value)


def test_one_market_of_two_sources_is_a_pair() -> None:
    found = pair_up(series("binance/BTCUSDT/1h", "kraken/BTCUSDT/1h"), Terms())

    assert [named(pair) for pair in found.pairs] == [
        ("binance/BTCUSDT/1h", "kraken/BTCUSDT/1h", "1h")
    ]
    assert found.pairs[0].as_usd == ()
    assert found.left_out == []


def test_the_source_that_was_named_first_stands_left() -> None:
    held = series("binance/BTCUSDT/1h", "kraken/BTCUSDT/1h", "zaif/BTCUSDT/1h")

    found = pair_up(held, Terms(order=("zaif", "binance")))

    assert [named(pair)[:2] for pair in found.pairs] == [
        ("zaif/BTCUSDT/1h", "binance/BTCUSDT/1h"),
        ("zaif/BTCUSDT/1h", "kraken/BTCUSDT/1h"),
        ("binance/BTCUSDT/1h", "kraken/BTCUSDT/1h"),
    ]


def test_tethers_are_no_dollars_unless_they_are_said_to_be() -> None:
    held = series("binance/BTCUSDT/1d", "coingecko/BTCUSD/1d")

    refused = refusal("binance/BTCUSDT/1d", "coingecko/BTCUSD/1d", terms=Terms())
    (pair,) = pair_up(held, AS_USD).pairs

    assert refused == (
        "binance/BTCUSDT/1d, coingecko/BTCUSD/1d: USDT is not USD; --as-usd takes dollar coins for"
        " dollars"
    )
    assert pair.as_usd == ("USDT",)


@pytest.mark.parametrize("coin", ["USDC", "FDUSD", "BUSD", "TUSD"])
def test_two_dollar_coins_are_both_taken_for_dollars(coin: str) -> None:
    (pair,) = pair_up(series("a/BTCUSDT/1d", f"b/BTC{coin}/1d"), AS_USD).pairs

    assert pair.as_usd == ("USDT", coin)


def test_one_coin_on_both_sides_is_taken_for_nothing_else() -> None:
    (pair,) = pair_up(series("a/BTCUSDT/1d", "b/BTCUSDT/1d"), AS_USD).pairs

    assert pair.as_usd == ()


def test_what_needs_consent_is_told_beside_what_does_not() -> None:
    held = series("binance/BTCUSDT/1d", "coingecko/BTCUSD/1d", "cryptocompare/BTCUSD/1d")

    found = pair_up(held, Terms())

    assert [named(pair)[:2] for pair in found.pairs] == [
        ("coingecko/BTCUSD/1d", "cryptocompare/BTCUSD/1d")
    ]
    assert [(one.series, one.obstacle) for one in found.left_out] == [
        (["binance/BTCUSDT/1d", "coingecko/BTCUSD/1d"], Obstacle.QUOTES),
        (["binance/BTCUSDT/1d", "cryptocompare/BTCUSD/1d"], Obstacle.QUOTES),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param("a/ETHBTC/1h", "b/ETHUSD/1h", id="another quote"),
        pytest.param("a/ETHEUR/1h", "b/ETHUSD/1h", id="another currency"),
        pytest.param("a/ETHUSDT/1h", "b/BTCUSDT/1h", id="another coin"),
        pytest.param("a/BTCUSDT/1h", "a/BTCUSDC/1h", id="one source"),
    ],
)
def test_other_markets_are_never_compared(left: str, right: str) -> None:
    assert "no other source to compare with" in refusal(left, right)


def test_a_symbol_that_nobody_can_split_is_compared_with_itself() -> None:
    (pair,) = pair_up(series("a/BTCBRL/1h", "b/BTCBRL/1h"), Terms()).pairs

    assert named(pair) == ("a/BTCBRL/1h", "b/BTCBRL/1h", "1h")


def test_every_interval_that_both_hold_is_a_pair() -> None:
    held = series("a/BTCUSDT/1d", "a/BTCUSDT/1h", "a/BTCUSDT/1m", "b/BTCUSDT/1d", "b/BTCUSDT/1h")

    found = pair_up(held, Terms())

    assert [named(pair)[2] for pair in found.pairs] == ["1d", "1h"]


@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        pytest.param("1h", "1d", "--resample 1d makes one", id="hours and days"),
        pytest.param("1M", "1m", "--resample 1M makes one", id="months and minutes"),
        pytest.param("8h", "12h", "none can be made of the others", id="no multiple"),
        pytest.param("1w", "1M", "none can be made of the others", id="weeks and months"),
    ],
)
def test_other_intervals_are_refused_with_what_helps(left: str, right: str, told: str) -> None:
    refused = refusal(f"a/BTCUSDT/{left}", f"b/BTCUSDT/{right}")

    assert refused.startswith(f"a/BTCUSDT/{left}, b/BTCUSDT/{right}: no interval in common")
    assert told in refused


def test_resampling_takes_the_coarsest_series_that_will_do() -> None:
    held = series("a/BTCUSDT/12h", "a/BTCUSDT/1m", "a/BTCUSDT/1w", "b/BTCUSDT/1d", "b/BTCUSDT/1h")

    found = pair_up(held, Terms(coarse=Interval("1d")))

    assert [named(pair) for pair in found.pairs] == [("a/BTCUSDT/12h", "b/BTCUSDT/1d", "1d")]
    assert found.left_out == []


def test_what_cannot_be_resampled_is_left_out() -> None:
    held = series("a/BTCUSDT/1h", "b/BTCUSDT/1d", "c/BTCUSDT/1w")

    found = pair_up(held, Terms(coarse=Interval("1d")))

    assert len(found.pairs) == 1
    assert found.left_out == [
        LeftOut(["c/BTCUSDT/1w"], Obstacle.INTERVALS, "1d cannot be made of it")
    ]


def test_samples_at_irregular_times_are_no_candles() -> None:
    refused = refusal("coingecko/BTCUSD/spot", "cryptocompare/BTCUSD/1h")

    assert refused.startswith(
        "coingecko/BTCUSD/spot: samples at irregular times cannot be compared candle by candle"
    )


def test_a_refusal_tells_what_an_option_can_change_first_and_that_there_is_more() -> None:
    refused = refusal("a/ADAUSDT/1h", "a/BTCUSDT/1d", "b/BTCUSD/1d", terms=Terms())

    assert refused.startswith("a/BTCUSDT/1d, b/BTCUSD/1d: USDT is not USD")
    assert refused.endswith(" (and 1 more)")


def test_nothing_at_all_is_told_as_such() -> None:
    assert refusal() == "there are no prices to compare; histq fetch gets some"
