"""The daemon: everything that histq does, on a schedule, for years.

`schedule.py` reads when; `jobs.py` says what; `turns.py` runs a job so that no run is doubled,
skipped or endless; `consumer.py` stores what is queued meanwhile; `daemon.py` holds them together,
from the first signal to the last.
"""
