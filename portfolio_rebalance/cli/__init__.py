"""The command line: parse, call, present, exit; nothing else.

In: the words of a process. Out: one text on standard output or error, and an exit code. No other room prints
or exits, and this one holds no logic of a run. Nothing here prompts.
"""
