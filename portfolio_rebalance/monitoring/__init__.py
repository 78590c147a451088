"""Monitoring: what a rebalance was expected to bring, what it brought, and what that teaches.

In: returns, records of plans and executions. Out: predictions, ticks, outcomes, steps of estimates. Code
grades. It never reads a file, a clock or a model, and can name no limit: what it may move are estimates.
"""
