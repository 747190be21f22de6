"""Being told: what is wrong becomes an alert, and every alert is told when it starts and ends.

    Health, Facts ──▶ conditions ──▶ hysteresis ──▶ store: alerts, notices ──▶ a courier a channel
                      how it is       what changed   in one transaction        until it is taken

All that is known lies in the store, so what holds across a restart is told once. A notice is told
at least once: twice where the process is killed after the receiver took it and before that is
written down.
"""
