"""Pages of any numbers whatever: what can be stored is, the rest is buried, and nobody stops."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from histq.model import HOUR_MS, WIDTH, Draft, Series, Window
from histq.page import Number, pack
from tests.audit import state
from tests.pipeline import START, configured, run

SOUND: list[Number] = [*[2.0] * 5, *[None] * 5]

numbers: st.SearchStrategy[Number] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.sampled_from([START, START + HOUR_MS, float(START), START + 1, 0, 2.0]),
)
anything = st.lists(numbers, min_size=WIDTH, max_size=WIDTH)
timed = numbers.map(lambda time: [time, *SOUND])
sound = st.integers(0, 3).map(lambda slot: [START + slot * HOUR_MS, *SOUND])
pages = st.lists(anything | timed | sound, max_size=4)
bodies = st.one_of(
    pages.map(lambda rows: pack([number for row in rows for number in row])),
    st.lists(numbers, max_size=40).map(pack),
    st.binary(max_size=40),
)
intervals = st.sampled_from(["1m", "1h", "1d", "1w", "1M", "spot"])


@settings(deadline=None, max_examples=30)
@given(put=st.lists(st.tuples(bodies, intervals), min_size=1, max_size=6))
def test_no_page_stops_a_consumer_or_harms_another(put: list[tuple[bytes, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opener = configured(Path(folder))
        neighbour = Series("binance", "ETHUSDT", "1h")
        with opener.open(create=True) as backends:
            for number, (body, interval) in enumerate(put, 1):
                series = Series("binance", "BTCUSDT", interval)
                window = Window(START, START + number * HOUR_MS)
                backends.queue.put([Draft(series, window, 1, body)])
            window = Window(START, START + HOUR_MS)
            backends.queue.put([Draft(neighbour, window, 1, pack([START, *SOUND]))])

        report = run(opener)

        found = state(Path(folder) / "histq.db")
        assert found["messages"] == found["bodies"] == []
        assert [row[:2] for row in found["prices"] if row[0] == "ETHUSDT"] == [("ETHUSDT", START)]
        assert report.messages == len(put) + 1
        assert report.points == report.inserted + report.duplicates + report.dead
        assert report.inserted == len(found["prices"])
