"""What a dead letter keeps of its message when it is brought back."""

from histq.errors import StorageFailed
from histq.model import History
from histq.pipeline import letters
from histq.pipeline.backends import Backends, Opener
from tests.pipeline import START, candle, draft, run


def test_a_page_brought_back_keeps_its_history(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0)], slots=1)])
    for _ in range(4):
        backends.database.change("update messages set available_at = 0")
        (message,) = backends.queue.lease(1, 1, 60)
        backends.queue.retry(message, str(StorageFailed("disk I/O error")))
    (letter,) = backends.queue.letters()

    letters.redrive(backends, [letter], START)

    (message,) = backends.queue.lease(1, 1, 60)
    assert message.past == History(letter.queued_at, failures=4, deliveries=4)
    assert (message.failures, message.deliveries) == (0, 1)


def test_a_candle_that_is_still_bad_keeps_its_history(opener: Opener, backends: Backends) -> None:
    backends.queue.put([draft([candle(0, high=1.5)], slots=1)])
    run(opener)
    (first,) = backends.queue.letters()

    for _ in range(2):
        letters.redrive(backends, backends.queue.letters(), START)
        run(opener)

    (letter,) = backends.queue.letters()
    assert (letter.queued_at, letter.deliveries) == (first.queued_at, 3)
