"""Execution: from an approved change to holdings that meet every limit, or back to where it began.

In: a plan's targets, holdings and prices re-read from the broker, limits re-read from disk, and a journal
that is durable before anything is sent. Out: fills, and a status. It must never send without a durable
intent, send an order twice, let a prefix of the batch add to an overage, or ask a model anything.
"""
