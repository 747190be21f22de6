"""The main path of a point.

    wanted - known spans                                      one transaction
    plan ──▶ Window ──▶ client.ask ──▶ parse ──▶ Queue.put ══▶ Queue.lease ──▶ screen, distinct
                        budget, retry            one message                   │
                                                 a page        Store.write ◀───┤
                                                               spans, ack      └──▶ dead letters

`fetch.py` is the left half, `consume.py` the right; both ends of the queue share no state but the
database. `targets.py` says which series are meant, `letters.py` brings dead letters back.
"""
