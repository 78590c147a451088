"""Agents: models that review, explain and may make a run safer. They hold no limit and move no money.

In: a session that code has advanced to its candidates, a client that talks to a model, a budget. Out: advice,
which :mod:`portfolio_rebalance.run.advice` cuts down to what a model may change. Numbers never travel through
a model: it passes enums and ids, cites facts, and code renders them. Only ``client.py`` talks to a model;
nothing here talks to a venue, reads a credential of one, or writes a file (``transcript_files.py`` writes
where it is told to record).

Nothing is imported here: a run by rules loads none of it.
"""
