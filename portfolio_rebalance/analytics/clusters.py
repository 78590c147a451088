"""Clusters: connected components of the graph of highly correlated pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["connected_components"]


def connected_components(ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Components by label propagation with pointer jumping.

    Args:
        ids: All nodes.
        edges: Pairs of nodes.

    Returns:
        Every node in exactly one component, single nodes too; ids sorted inside and by first id among
        components, whatever the order of the input.
    """
    ordered = sorted(ids)
    place = {key: index for index, key in enumerate(ordered)}
    pairs = np.array([(place[a], place[b]) for a, b in edges], dtype=np.int64).reshape(-1, 2)
    label = np.arange(len(ordered))
    while pairs.size:
        lowest = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        updated = label.copy()
        np.minimum.at(updated, pairs[:, 0], lowest)
        np.minimum.at(updated, pairs[:, 1], lowest)
        updated = updated[updated]
        if np.array_equal(updated, label):
            break
        label = updated
    groups: dict[int, list[str]] = {}
    for index, key in enumerate(ordered):
        groups.setdefault(int(label[index]), []).append(key)
    return tuple(tuple(group) for group in groups.values())
