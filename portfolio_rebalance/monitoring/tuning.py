"""Tuning: estimates move by what executions and outcomes show, in bounded, logged, reversible steps.

``value += clip(gain (observed - value), bound)``, with a gain that falls from a half to a floor: soon near,
and still able to follow a change. Three things are tuned: estimated slippage, estimated commission, and for
each mode the log odds that a rebalance helps. None of them is a limit, a threshold or a key of the
configuration, and a configured estimate that a person changes starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import Estimates, Execution, Outcome, TuningStep

__all__ = ["PRIOR", "estimates_from", "lessons_of_execution", "lessons_of_outcome", "taken_back"]

PRIOR: Final = "prior:"
"""Begins the parameter of a mode's log odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How far an estimate may move.

    Attributes:
        least_gain: The floor: what still follows a change.
        bound: The largest step, in the estimate's own unit.
        share: Or this share of the estimate, if that is more.
        low: The least value.
        high: The largest.
        places: What it is rounded to.
    """

    least_gain: Decimal
    bound: Decimal
    share: Decimal
    low: Decimal
    high: Decimal
    places: Decimal


_COST: Final = _Rule(
    least_gain=Decimal("0.1"),
    bound=Decimal(5),
    share=Decimal("0.25"),
    low=Decimal(0),
    high=Decimal(1000),
    places=Decimal("0.01"),
)
_ODDS: Final = _Rule(
    least_gain=Decimal("0.25"),
    bound=Decimal("0.25"),
    share=Decimal(0),
    low=Decimal(-2),
    high=Decimal(2),
    places=Decimal("0.0001"),
)


def estimates_from(steps: Sequence[TuningStep], *, config: Config) -> Estimates:
    """What a run reckons with.

    Args:
        steps: The log, in order.
        config: What is configured; with ``update_algorithm_on_divergence: false`` nothing else counts.
    """
    learned: dict[str, TuningStep] = {}
    if config.learning.update_algorithm_on_divergence:
        for parameter in dict.fromkeys(step.parameter for step in steps):
            newest = _newest(steps, parameter, config=config)
            if newest is not None and newest.observations:
                learned[parameter] = newest
    return Estimates(
        slippage_bps=_value(learned.get("slippage_bps"), "slippage_bps", config=config),
        commission_bps=_value(learned.get("commission_bps"), "commission_bps", config=config),
        learned_from={name: learned[name].observations for name in sorted(learned)},
        priors={
            name.removeprefix(PRIOR): learned[name].after
            for name in sorted(learned)
            if name.startswith(PRIOR)
        },
    )


def lessons_of_execution(
    execution: Execution, *, steps: Sequence[TuningStep], config: Config
) -> tuple[TuningStep, ...]:
    """What the fills of a batch teach about costs; those of one that was taken back teach as well.

    Args:
        execution: Its report.
        steps: The log so far.
        config: What is configured.
    """
    observed = {
        "slippage_bps": execution.total_slippage_bps,
        "commission_bps": execution.total_commissions_bps,
    }
    return tuple(
        _stepped(
            parameter,
            rule=_COST,
            observed=value,
            error=value - _value(_newest(steps, parameter, config=config), parameter, config=config),
            steps=steps,
            config=config,
            plan_id=execution.plan_id,
            at=execution.finished_at,
        )
        for parameter, value in observed.items()
        if value is not None
    )


def lessons_of_outcome(
    outcome: Outcome, *, steps: Sequence[TuningStep], config: Config
) -> tuple[TuningStep, ...]:
    """What an outcome teaches about its mode: the gradient of the log loss, ``helped - predicted``.

    Args:
        outcome: Graded, or nothing is learned.
        steps: The log so far.
        config: What is configured.
    """
    if outcome.helped is None or outcome.probability_helps is None:
        return ()
    helped = Decimal(int(outcome.helped))
    return (
        _stepped(
            f"{PRIOR}{outcome.mode}",
            rule=_ODDS,
            observed=helped,
            error=helped - outcome.probability_helps,
            steps=steps,
            config=config,
            plan_id=outcome.plan_id,
            at=outcome.at,
        ),
    )


def taken_back(number: int, *, steps: Sequence[TuningStep], at: datetime, config: Config) -> TuningStep:
    """The step that takes an earlier one back, and with it every later one of the same parameter.

    Args:
        number: Of the step.
        steps: The log so far.
        at: Now.
        config: What is configured.

    Raises:
        UsageError: There is no such step, it is a step back itself, or it counts no more.
    """
    target = next((step for step in steps if step.number == number), None)
    if target is None or target.reverts is not None:
        raise UsageError(
            f"There is no step {number} to take back.",
            where="NUMBER",
            fix="List the steps with: trading-portfolio-rebalance feedback list",
        )
    newest = _newest(steps, target.parameter, config=config)
    if newest is None or target not in _counting(steps, target.parameter, config=config):
        raise UsageError(
            f"Step {number} counts no more: it was taken back, or another estimate is configured since.",
            where="NUMBER",
            fix="List the steps with: trading-portfolio-rebalance feedback list",
        )
    return TuningStep(
        parameter=target.parameter,
        at=at,
        plan_id=None,
        observed=None,
        before=newest.after,
        after=target.before,
        configured=target.configured,
        observations=target.observations - 1,
        reverts=number,
    )


def _stepped(
    parameter: str,
    *,
    rule: _Rule,
    observed: Decimal,
    error: Decimal,
    steps: Sequence[TuningStep],
    config: Config,
    plan_id: str,
    at: datetime,
) -> TuningStep:
    newest = _newest(steps, parameter, config=config)
    seen = 0 if newest is None else newest.observations
    before = _value(newest, parameter, config=config)
    bound = max(rule.bound, rule.share * abs(before))
    move = max(rule.least_gain, 1 / Decimal(seen + 2)) * error
    after = before + max(-bound, min(bound, move))
    return TuningStep(
        parameter=parameter,
        at=at,
        plan_id=plan_id,
        observed=observed,
        before=before,
        after=max(rule.low, min(rule.high, after)).quantize(rule.places),
        configured=_configured(parameter, config=config),
        observations=seen + 1,
    )


def _counting(steps: Sequence[TuningStep], parameter: str, *, config: Config) -> list[TuningStep]:
    """The steps that made an estimate what it is now, oldest first: none that a step back took with it."""
    configured = _configured(parameter, config=config)
    found: list[TuningStep] = []
    for step in steps:
        if step.parameter != parameter or step.configured != configured:
            continue
        if step.reverts is None:
            found.append(step)
        else:
            found = [one for one in found if one.number < step.reverts]
    return found


def _newest(steps: Sequence[TuningStep], parameter: str, *, config: Config) -> TuningStep | None:
    """The last step of a parameter that started from what is configured now."""
    configured = _configured(parameter, config=config)
    own = [step for step in steps if step.parameter == parameter and step.configured == configured]
    return own[-1] if own else None


def _value(newest: TuningStep | None, parameter: str, *, config: Config) -> Decimal:
    return _configured(parameter, config=config) if newest is None else newest.after


def _configured(parameter: str, *, config: Config) -> Decimal:
    """Where a parameter starts from."""
    if parameter == "slippage_bps":
        return config.simulation.slippage_bps
    return config.simulation.commission_bps if parameter == "commission_bps" else Decimal(0)
