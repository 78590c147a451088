"""What a model may change: the one place where a model's word enters a run.

Code has computed one candidate for each available mode, and a decision on each. A model may recommend another
candidate to a person, lower a recommendation whose basis is improvement, ask that a person decides, and
explain. It cannot hide or lower a plan that compliance or drift demands, raise a recommendation, approve, or
touch a limit. So every run ends in {candidates} x {same or lower verdict} x {same or stricter approval}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from portfolio_rebalance.config import Config
from portfolio_rebalance.records import Advice, Candidate, Decision, RebalanceRequest, Review, Verdict

__all__ = ["Situation", "Submission", "admitted", "lowered"]

_RANK: Final = {"HOLD": 0, "OPTIONAL": 1, "REBALANCE": 2}
_LOWERED_TO: Final = {"downgrade_optional": "OPTIONAL", "downgrade_hold": "HOLD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What models came to.

    Attributes:
        mode: Of the candidate that is recommended; None where the orchestrator came to nothing.
        verdict: None likewise.
        explanation: Rendered; empty where a model's text was not usable.
        reviews: Models' reviews, by the mode whose candidate they are of.
        completed_by_code: What the orchestrator left out.
        notes: What failed, and why.
    """

    mode: str | None = None
    verdict: Verdict | None = None
    explanation: str = ""
    reviews: Mapping[str, tuple[Review, ...]] = field(default_factory=dict)
    completed_by_code: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a submission is held against.

    Attributes:
        mode: The mode that the request, the configuration or a fallback asks for.
        fallback: Why no model may choose the mode, because correlation is unknown; empty where one may.
        candidates: By mode.
        rule: The decision by code on a candidate.
    """

    request: RebalanceRequest
    config: Config
    mode: str
    fallback: str
    candidates: Mapping[str, Candidate]
    rule: Callable[[Candidate], Decision]


def admitted(submission: Submission, situation: Situation) -> Advice:
    """What of a submission takes effect; whatever does not is said in a note."""
    notes = list(submission.notes)
    wanted = submission.mode
    taken = False
    if wanted is not None and wanted != situation.mode:
        obstacle = _why_not_taken(wanted, situation)
        taken = not obstacle
        if obstacle:
            notes.append(f"the orchestrator recommends {wanted}; {situation.mode} stays, because {obstacle}")
    mode = wanted if taken and wanted is not None else situation.mode
    if submission.verdict in _LOWERED_TO:
        decision = situation.rule(situation.candidates[mode])
        if decision.basis != "improvement" and decision.recommendation in _RANK:
            notes.append(
                f"the orchestrator asked to lower the recommendation; {decision.recommendation} stays, "
                f"because its basis is {decision.basis}"
            )
    reviews = submission.reviews.get(mode, ())
    if submission.reviews and not reviews:
        notes.append(f"no model reviewed {mode}: the rules' reviews of it stand alone")
    explained = bool(submission.explanation)
    return Advice(
        verdict=submission.verdict,
        recommended_mode=wanted,
        mode_taken=taken,
        ask_person=(
            taken
            or submission.verdict not in ("accept", None)
            or any(review.verdict == "reject" for review in reviews)
        ),
        explanation=submission.explanation,
        explained_by="model" if explained else "rules",
        reviews=reviews,
        completed_by_code=submission.completed_by_code,
        notes=tuple(notes),
    )


def lowered(decision: Decision, advice: Advice | None) -> Decision:
    """The decision by code, lowered where a model may lower it and asked to."""
    to = None if advice is None or advice.verdict is None else _LOWERED_TO.get(advice.verdict)
    if to is None or decision.basis != "improvement":
        return decision
    if not _RANK[to] < _RANK.get(decision.recommendation, 0):
        return decision
    because = f"the orchestrator lowered it from {decision.recommendation}"
    head, _, rest = decision.headline.partition(": ")
    return Decision.model_validate(
        {
            **dict(decision),
            "recommendation": to,
            "headline": f"{to} ({decision.basis}): {because}; {rest}" if head else decision.headline,
            "reasons": (because, *decision.reasons),
        }
    )


def _why_not_taken(mode: str, situation: Situation) -> str:
    """Why a recommended candidate does not become the plan's; empty where it does, for a person to judge."""
    candidate, own = situation.candidates.get(mode), situation.candidates[situation.mode]
    if candidate is None:
        return "there is no such candidate"
    by_rule, by_own = situation.rule(candidate), situation.rule(own)
    obstacles = (
        (situation.request.mode is not None, "this run was asked for that mode"),
        (bool(situation.fallback), "correlation cannot be computed"),
        (
            not situation.config.execution.approval_required,
            "without approval_required a plan may be executed unseen",
        ),
        (not candidate.proposal.traded, "it changes nothing"),
        (
            by_own.basis in ("compliance", "drift")
            and (by_rule.basis, by_rule.recommendation) != (by_own.basis, by_own.recommendation),
            f"{by_own.basis} demands a change that it does not bring",
        ),
        (by_rule.recommendation == "BLOCKED", "it is blocked"),
        (
            bool(candidate.compliance.repaired_violations) and not own.compliance.repaired_violations,
            "it leaves a limit broken",
        ),
        (
            candidate.compliance.repaired_correlated_exposure != "PASS"
            and own.compliance.repaired_correlated_exposure == "PASS",
            "its correlated exposure is not known to hold",
        ),
    )
    return next((why for applies, why in obstacles if applies), "")
