"""One file a mode. Each defines ``MODE``; ``allocation/registry.py`` lists them.

In: a ``Situation`` of plain values. Out: a ``Draft`` of exact basis points with reasons. A mode must never
read a file, a clock or a record, and never needs to respect a limit: repair does.
"""
