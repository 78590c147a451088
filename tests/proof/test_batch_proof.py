"""Five thousand random batches, a third and more of them from a breach: no prefix adds to any overage."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

# The rooms of the tests are no packages: a proof that shares the laws of one says where they stand.
sys.path.append(str(Path(__file__).parents[1] / "execution"))

from batch_laws import breached, check_case
from batches import random_case

from portfolio_rebalance.errors import PlanChangedError

CHUNKS = 25
BATCHES_PER_CHUNK = 200

MOST_REFUSED = 0.10
"""Where two limits that share no strategy are broken, the costs of curing one weigh on the other."""


@pytest.mark.proof
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_five_thousand_batches_hold_every_law(chunk: int) -> None:
    rng = random.Random(f"batch-{chunk}")
    seen: Counter[str] = Counter()
    while seen["made"] < BATCHES_PER_CHUNK:
        case = random_case(rng.randint)
        outcome = check_case(case, rng)
        seen[outcome] += 1
        seen["made from a breach"] += outcome == "made" and breached(case)
    assert seen["made from a breach"] * 3 >= BATCHES_PER_CHUNK


@pytest.mark.proof
def test_a_plan_of_these_very_prices_is_seldom_refused() -> None:
    """Where no bot has to move first: of plans that repair made lawful, at the prices it made them for."""
    rng = random.Random("refusals")
    refused = tried = 0
    while tried < 2_000:
        case = random_case(rng.randint, bot_odds=0)
        if case.blocked or not case.wanted:
            continue
        tried += 1
        try:
            case.batch()
        except PlanChangedError:
            refused += 1
    assert refused <= MOST_REFUSED * tried
