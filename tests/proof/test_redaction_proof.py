"""Fresh secrets in every encoding and setting: nothing is left. Hostile texts of every kind: no waiting."""

from __future__ import annotations

import random

import canaries
import pytest
from redaction_laws import HOSTILE, check, check_time, planted

from portfolio_rebalance.redaction import Redactor

CHUNKS = 30
SETS_PER_CHUNK = 2


@pytest.mark.proof
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_planted_secrets_leave_nothing(chunk: int) -> None:
    rng = random.Random(f"redaction-{chunk}")
    tried = 0
    for _ in range(SETS_PER_CHUNK):
        secrets = canaries.made(rng)
        redactor = Redactor(secrets)
        for name, secret in secrets.items():
            for setting, text in planted(secret, rng):
                assert "[secret" in check(redactor, text, secrets).replace("[secret]", ""), (name, setting)
                tried += 1
    assert tried == SETS_PER_CHUNK * 7 * 3 * len(canaries.ENCODINGS)


@pytest.mark.proof
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_repetition_makes_it_slow(kind: str) -> None:
    check_time(Redactor(canaries.SECRETS), HOSTILE[kind])
