"""Record: the result of a decided run, its plan in the ledger, its assessment file.

One transaction stores the run, its plan and the bytes of its file; the file is then written from there, and
again by the next start if a crash or a full disk came between. Only canonical content is written; the same
run again changes nothing, and inputs that changed while the run was thinking abort it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import combinations
from pathlib import Path

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.config_notify import EXTREME_CORRELATION
from portfolio_rebalance.errors import BlockedError
from portfolio_rebalance.monitoring.prediction import HISTORY_DAYS, Rebalance, predict
from portfolio_rebalance.records import Plan, Prediction, RebalanceResult, canonical_bytes
from portfolio_rebalance.run.plans import build_plan, plan_id_of, run_id_of
from portfolio_rebalance.run.session import Session
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.workspace import (
    Ledger,
    Projection,
    RunEntry,
    apply_outbox,
    exclusive,
    free_name,
    require_unchanged,
    to_yaml,
)
from portfolio_rebalance.workspace.files import exists, read_text

__all__ = ["record", "result_of"]

_STATUS = {"REBALANCE": "planned", "OPTIONAL": "planned", "HOLD": "hold", "BLOCKED": "blocked"}


def result_of(session: Session, *, plan: Plan | None, written: tuple[str, ...]) -> RebalanceResult:
    """Everything a decided session came to."""
    status = _STATUS[session.decision.recommendation]
    return RebalanceResult.model_validate(
        {
            "status": status,
            "exit_code": BlockedError.exit_code if status == "blocked" else 0,
            "run_id": run_id_of(session),
            "plan_id": None if plan is None else plan_id_of(plan),
            "as_of": session.clock.as_of,
            "requested_mode": session.requested_mode,
            "mode": session.chosen_mode,
            "fallback": session.fallback,
            "assessment": session.assessment,
            "correlation": session.correlation,
            "candidates": session.candidates,
            "cheapest": session.cheapest,
            "reviews": session.reviews,
            "decision": session.decision,
            "plan": plan,
            "prediction": None if plan is None else _predicted(session),
            "driver": _driver(session),
            "advice": session.advice,
            "alerts": _alerts(session),
            "warnings": _warnings(session),
            "written": written,
        }
    )


def _predicted(session: Session) -> Prediction:
    """What the days after the plan may bring, from the history up to its own last closed day."""
    candidate, config = session.candidates[0], session.state.config
    proposal = candidate.proposal
    return predict(
        Rebalance(
            mode=candidate.mode,
            before_bp=proposal.current_bp,
            after_bp=proposal.proposed_bp,
            costs=candidate.impact.trading_costs,
        ),
        history=window_of(
            session.state.returns,
            ids=sorted(proposal.current_bp),
            last_day=session.clock.last_closed_day,
            lookback_days=HISTORY_DAYS,
        ),
        estimates=session.estimates,
        config=config,
    )


def record(session: Session) -> RebalanceResult:
    """Store a decided session and return its result.

    Raises:
        WorkspaceBusyError: Another process is writing.
        LedgerError: The ledger cannot be used; nothing was written.
        EditedMeanwhileError: A file that an earlier change belongs in was edited by hand.
        BadDataError: An input changed since it was read; nothing was written.
    """
    plan = build_plan(session)
    day = session.clock.as_of.date().isoformat()
    content = to_yaml(_readable(session.assessment.model_dump()))
    with exclusive(session.root):
        name = free_name(
            session.root, f"portfolio-rebalance/assessment-{day}", same=lambda data: data == content
        )
        result = result_of(session, plan=plan, written=(f"{session.root.name}/{name}",))
        require_unchanged(session.root, session.state.portfolio.inputs)
        with Ledger.open(session.root) as ledger:
            file = Projection(path=name, old_sha256=_digest_of(session.root, name), content=content)
            ledger.add_run(_entry(session, result, plan), projections=(file,))
            apply_outbox(session.root, ledger)
    return result


def _driver(session: Session) -> str:
    return "rules" if session.advice is None or session.advice.verdict is None else "model"


def _digest_of(root: Path, name: str) -> str | None:
    return read_text(root, name).sha256 if exists(root, name) else None


def _readable(node: object) -> object:
    """What people read: amounts stay numbers, instants become text."""
    if isinstance(node, Mapping):
        return {key: _readable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_readable(value) for value in node]
    return format_instant(node) if isinstance(node, datetime) else node


def _entry(session: Session, result: RebalanceResult, plan: Plan | None) -> RunEntry:
    assert result.run_id is not None
    return RunEntry(
        run_id=result.run_id,
        as_of=session.clock.as_of,
        state=result.status,
        mode=session.chosen_mode,
        recommendation=session.decision.recommendation,
        basis=session.decision.basis,
        total_capital=session.state.portfolio.total_capital,
        high_pairs=tuple(pair.strategies for pair in session.correlation.high_correlation_pairs),
        result=result.model_dump_json(by_alias=True, round_trip=True).encode(),
        plan=None if plan is None else (plan_id_of(plan), plan.expires_at, canonical_bytes(plan)),
    )


def _alerts(session: Session) -> tuple[str, ...]:
    """Severe drift, extreme correlation, and what repair could not fix."""
    matrix = session.correlation.correlation_matrix
    extreme = [
        f"{a}/{b} correlate at {rho:.2f}: extreme"
        for a, b in combinations(session.correlation.strategies, 2)
        if (rho := matrix[a][b]) is not None and rho > EXTREME_CORRELATION
    ]
    unresolved = [
        f"{violation.limit} of {'+'.join(violation.strategies)} stays broken: manual action needed"
        for violation in session.candidates[0].compliance.repaired_violations
    ]
    return (*session.assessment.alerts, *extreme, *unresolved)


def _warnings(session: Session) -> tuple[str, ...]:
    warnings = list(session.state.portfolio.warnings)
    if session.state.portfolio.stale:
        warnings.append("based on stale data: " + "; ".join(session.state.portfolio.stale))
    if session.fallback:
        warnings.append(session.fallback)
    compliance = session.candidates[0].compliance
    if compliance.repaired_correlated_exposure == "NOT_EVALUATED":
        warnings.append(f"correlated exposure is NOT_EVALUATED: {compliance.not_evaluated_reason}")
    return tuple(warnings)
