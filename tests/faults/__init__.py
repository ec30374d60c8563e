"""Faults on the real thing: a whole city at work, and what befalls it. What must hold afterwards is in `evidence.py`.

    town.py      a city over several lives: let requests come in, break things, wait with a deadline, check
    evidence.py  what the agencies, the log, the topics, the positions and the casebook say afterwards
    faults.py    when what is killed: a plan made by a seed

The short runs are in `make test`; `make soak` repeats them with a thousand requests, for as long as one likes.
"""
