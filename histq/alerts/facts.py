"""What only the program that runs the jobs knows: who crashed, what took too long, who refuses."""

from collections.abc import Mapping

import msgspec

Known = Mapping[str, str | None]
"""By name: what is wrong; empty where all is well, None where nothing has been heard yet.

Nothing heard changes nothing, so that what was told before a restart is neither over nor told
again. A worker or job that is not named at all is there no more, and what was told of it is over.
"""


class Facts(msgspec.Struct, frozen=True):
    """`workers` that crashed, `jobs` that were ended at their deadline, `sources` that refuse: a
    ban, a block, a rate limit that lasts. Sources need not be named where nothing was heard.
    """

    workers: Known = {}
    jobs: Known = {}
    sources: Known = {}
