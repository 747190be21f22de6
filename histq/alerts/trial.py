"""One notice to every channel, to see whether it would be taken."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from histq.alerts.notice import Channel, Origin, Undelivered, trial

TIMEOUT_S: Final = 30.0


class Sent(msgspec.Struct):
    """What one channel made of it; `error` is empty where it was taken."""

    channel: str
    place: str
    error: str
    ms: int = 0


def send_to_all(
    channels: Sequence[Channel], origin: Origin, *, timeout_s: float = TIMEOUT_S
) -> list[Sent]:
    """Side by side, each in a thread of its own: one that hangs is left at the end of the time."""
    began = time.monotonic()
    late = f"no answer in {timeout_s:g} s"
    found = [Sent(channel.name, channel.place, late) for channel in channels]

    def send(channel: Channel, sent: Sent) -> None:
        try:
            channel.send(trial(origin))
        except Undelivered as error:
            sent.error = str(error)
        except Exception as error:  # the top of a thread
            sent.error = f"unexpected {type(error).__name__}"
        else:
            sent.error = ""
        sent.ms = round((time.monotonic() - began) * 1000)

    pairs = zip(channels, found, strict=True)
    threads = [threading.Thread(target=send, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + timeout_s - time.monotonic()))
    return [msgspec.structs.replace(sent) for sent in found]
