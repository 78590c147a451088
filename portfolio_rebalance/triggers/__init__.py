"""Triggers: what starts a run when nobody types one.

In: a workspace and an instant. Out: one drift check; a watch that makes checks and looks at rebalances
when their time has come; unit files for the schedulers of an operating system. It holds no limit and executes
nothing by itself: a check asks for a bare run, in which only the user's own pre-approval may execute.
"""
