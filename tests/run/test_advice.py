"""What a model may change: every way to say it, against every ruling of code, and nothing gets past.

Code's rulings are drawn at random here, sensible together or not: what holds for all of them needs no trust
in how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workspaces import AS_OF, THREE, clock_at, make_workspace

from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import Advice, Candidate, Decision, RebalanceRequest, Review, Verdict
from portfolio_rebalance.run import Session, build_plan, drive_by_rules
from portfolio_rebalance.run.advice import Situation, Submission, admitted, lowered
from portfolio_rebalance.run.record import result_of

MODES = ("correlation_aware", "proportional", "risk_adjusted")
OWN, OTHER = MODES[0], MODES[1]
RANK = {"HOLD": 0, "OPTIONAL": 1, "REBALANCE": 2}
RECOMMENDATIONS = ("HOLD", "OPTIONAL", "REBALANCE", "BLOCKED")
BASES = ("compliance", "drift", "improvement", "none")
VERDICTS = get_args(Verdict)
LOWERING = {"downgrade_optional": "OPTIONAL", "downgrade_hold": "HOLD"}
ASKS = Config()
PRE_APPROVES = Config.model_validate({"execution": {"mode": "auto_execute", "approval_required": False}})


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Advanced to its candidates; each of them changes something, and no limit is broken."""
    root = make_workspace(tmp_path_factory.mktemp("advice"), THREE)
    session = Session(root=root, clock=clock_at(AS_OF), request=RebalanceRequest())
    while session.next_stage is not None and session.next_stage.name != "review":
        session.advance()
    assert all(one.proposal.traded for one in session.candidates if one.mode in MODES)
    return session


def ruling(recommendation: str = "REBALANCE", basis: str = "improvement") -> Decision:
    return Decision.model_validate(
        {
            "recommendation": recommendation,
            "basis": basis,
            "improvement_verdict": "OPTIONAL",
            "confidence": "LOW",
            "evidence": "too_short",
            "headline": f"{recommendation} ({basis}): this is why. Confidence LOW: too short.",
            "reasons": ("this is why", "and this"),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A situation, with the rulings that it is made of."""

    situation: Situation
    rulings: Mapping[str, Decision]

    @property
    def own(self) -> Decision:
        return self.rulings[self.situation.mode]

    def chosen(self, advice: Advice) -> str:
        """The mode that is decided on."""
        return str(advice.recommended_mode) if advice.mode_taken else self.situation.mode


def case(session: Session, *, rulings: Mapping[str, Decision] | None = None, **changes: Any) -> Case:
    """Where nothing stands in the way of a model's mode, unless something is changed."""
    found = dict.fromkeys(MODES, ruling()) | dict(rulings or {})
    candidates = {one.mode: one for one in session.candidates if one.mode in MODES}
    candidates |= changes.pop("candidates", {})
    given: dict[str, Any] = {
        "request": RebalanceRequest(),
        "config": ASKS,
        "mode": OWN,
        "fallback": "",
        "candidates": candidates,
        "rule": lambda candidate: found[candidate.mode],
    }
    return Case(situation=Situation(**{**given, **changes}), rulings=found)


def spoilt(candidate: Candidate, *, how: str) -> Candidate:
    """A candidate that changes nothing, leaves a limit broken, or whose exposure is not known."""
    if how == "idle":
        same = candidate.proposal.model_copy(update={"proposed_bp": candidate.proposal.current_bp})
        return candidate.model_copy(update={"proposal": same})
    changes: dict[str, object] = {
        "broken": {"repaired_violations": candidate.compliance.repaired_checks[:1]},
        "unknown": {"repaired_correlated_exposure": "NOT_EVALUATED"},
        "failing": {"repaired_correlated_exposure": "FAIL"},
    }
    update: Any = changes[how]
    return candidate.model_copy(update={"compliance": candidate.compliance.model_copy(update=update)})


def review(verdict: str = "approve", role: str = "risk_manager") -> Review:
    concerns = () if verdict == "approve" else ("other: something",)
    return Review.model_validate({"role": role, "source": "model", "verdict": verdict, "concerns": concerns})


# --- one at a time ---------------------------------------------------------------------------------------


def test_nothing_said_is_nothing_changed(session: Session) -> None:
    advice = admitted(Submission(notes=("no verdict: refused",)), case(session).situation)
    assert advice == Advice(
        verdict=None,
        recommended_mode=None,
        mode_taken=False,
        ask_person=False,
        explanation="",
        explained_by="rules",
        reviews=(),
        completed_by_code=(),
        notes=("no verdict: refused",),
    )
    assert lowered(ruling(), advice) == ruling()
    assert lowered(ruling(), None) == ruling()


def test_code_s_own_draft_accepted_asks_nobody(session: Session) -> None:
    advice = admitted(Submission(mode=OWN, verdict="accept", explanation="Fine."), case(session).situation)
    assert (advice.mode_taken, advice.ask_person, advice.notes) == (False, False, ())
    assert (advice.explained_by, advice.explanation) == ("model", "Fine.")


def test_another_mode_is_taken_and_waits_for_a_person(session: Session) -> None:
    advice = admitted(Submission(mode=OTHER, verdict="accept"), case(session).situation)
    assert (advice.mode_taken, advice.recommended_mode, advice.ask_person) == (True, OTHER, True)
    assert advice.notes == ()


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"request": RebalanceRequest(mode=OWN)}, "this run was asked for that mode"),
        ({"fallback": "correlation cannot be computed"}, "correlation cannot be computed"),
        ({"config": PRE_APPROVES}, "without approval_required a plan may be executed unseen"),
        (
            {"rulings": {OWN: ruling(basis="compliance")}},
            "compliance demands a change that it does not bring",
        ),
        ({"rulings": {OWN: ruling("OPTIONAL", "drift")}}, "drift demands a change that it does not bring"),
        (
            {"rulings": {OWN: ruling("OPTIONAL", "drift"), OTHER: ruling("REBALANCE", "drift")}},
            "drift demands a change that it does not bring",
        ),
        ({"rulings": {OTHER: ruling("BLOCKED", "compliance")}}, "it is blocked"),
        ({"mode": OWN, "spoil": "idle"}, "it changes nothing"),
        ({"mode": OWN, "spoil": "broken"}, "it leaves a limit broken"),
        ({"mode": OWN, "spoil": "unknown"}, "its correlated exposure is not known to hold"),
        ({"mode": OWN, "spoil": "failing"}, "its correlated exposure is not known to hold"),
    ],
)
def test_what_keeps_another_mode_from_being_taken(
    session: Session, changes: dict[str, Any], because: str
) -> None:
    if how := changes.pop("spoil", ""):
        other = next(one for one in session.candidates if one.mode == OTHER)
        changes = {**changes, "candidates": {OTHER: spoilt(other, how=how)}}
    advice = admitted(Submission(mode=OTHER, verdict="accept"), case(session, **changes).situation)
    assert (advice.mode_taken, advice.ask_person, advice.recommended_mode) == (False, False, OTHER)
    assert advice.notes == (f"the orchestrator recommends {OTHER}; {OWN} stays, because {because}",)


def test_a_mode_that_has_no_candidate_is_not_taken(session: Session) -> None:
    advice = admitted(Submission(mode="no_such_mode", verdict="accept"), case(session).situation)
    assert not advice.mode_taken
    assert advice.notes == (
        f"the orchestrator recommends no_such_mode; {OWN} stays, because there is no such candidate",
    )


def test_a_limit_that_both_drafts_leave_broken_is_no_reason_against_one(session: Session) -> None:
    broken = {one.mode: spoilt(one, how="broken") for one in session.candidates if one.mode in MODES}
    advice = admitted(Submission(mode=OTHER, verdict="accept"), case(session, candidates=broken).situation)
    assert advice.mode_taken


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("recommendation", RECOMMENDATIONS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_only_an_improvement_is_lowered_and_never_raised(
    session: Session, basis: str, recommendation: str, verdict: str
) -> None:
    before = ruling(recommendation, basis)
    given = case(session, rulings=dict.fromkeys(MODES, before))
    advice = admitted(Submission(mode=OWN, verdict=verdict), given.situation)
    after = lowered(before, advice)
    to = LOWERING.get(verdict)
    lower = (
        to is not None
        and basis == "improvement"
        and recommendation in RANK
        and RANK[to] < RANK[recommendation]
    )
    assert after.recommendation == (to if lower else recommendation)
    if not lower:
        assert after == before
    tried_in_vain = to is not None and basis != "improvement" and recommendation in RANK
    assert bool(advice.notes) is tried_in_vain


def test_a_lowered_decision_says_so_and_keeps_what_code_said() -> None:
    advice = Advice(
        verdict="downgrade_hold",
        recommended_mode=OWN,
        mode_taken=False,
        ask_person=True,
        explanation="",
        explained_by="rules",
        reviews=(),
        completed_by_code=(),
        notes=(),
    )
    after = lowered(ruling(), advice)
    because = "the orchestrator lowered it from REBALANCE"
    assert after.headline == f"HOLD (improvement): {because}; this is why. Confidence LOW: too short."
    assert after.reasons == (because, "this is why", "and this")
    kept = {"improvement_verdict", "confidence", "evidence", "basis"}
    assert {name: getattr(after, name) for name in kept} == {name: getattr(ruling(), name) for name in kept}


@pytest.mark.parametrize(
    ("verdict", "reviewed", "asks"),
    [
        ("accept", "approve", False),
        ("accept", "concerns", False),
        ("accept", "reject", True),
        ("accept_ask_person", "approve", True),
        ("downgrade_optional", "approve", True),
        ("downgrade_hold", "approve", True),
    ],
)
def test_who_asks_for_a_person(session: Session, verdict: Any, reviewed: str, asks: bool) -> None:
    said = Submission(mode=OWN, verdict=verdict, reviews={OWN: (review(reviewed),)})
    assert admitted(said, case(session).situation).ask_person is asks


def test_a_rejection_asks_for_a_person_even_where_the_orchestrator_came_to_nothing(session: Session) -> None:
    said = Submission(reviews={OWN: (review("reject"),)})
    assert admitted(said, case(session).situation).ask_person


def test_only_reviews_of_what_is_decided_on_are_shown(session: Session) -> None:
    reviews = {OWN: (review("approve"),), OTHER: (review("reject"),)}
    kept = admitted(Submission(mode=OWN, verdict="accept", reviews=reviews), case(session).situation)
    assert (kept.reviews, kept.ask_person) == (reviews[OWN], False)
    taken = admitted(Submission(mode=OTHER, verdict="accept", reviews=reviews), case(session).situation)
    assert (taken.reviews, taken.ask_person) == (reviews[OTHER], True)


def test_where_models_reviewed_another_draft_than_the_one_that_stays_it_is_said(session: Session) -> None:
    asked_for = case(session, request=RebalanceRequest(mode=OWN)).situation
    alone = f"no model reviewed {OWN}: the rules' reviews of it stand alone"
    of_the_other = Submission(mode=OTHER, verdict="accept", reviews={OTHER: (review(),)})
    assert alone in admitted(of_the_other, asked_for).notes
    of_both = Submission(mode=OTHER, verdict="accept", reviews={OWN: (review(),), OTHER: (review(),)})
    assert alone not in admitted(of_both, asked_for).notes


# --- all at once -----------------------------------------------------------------------------------------

_SITUATIONS = st.fixed_dictionaries(
    {
        "rulings": st.fixed_dictionaries(
            {
                mode: st.builds(ruling, st.sampled_from(RECOMMENDATIONS), st.sampled_from(BASES))
                for mode in MODES
            }
        ),
        "spoils": st.dictionaries(
            st.sampled_from(MODES), st.sampled_from(("idle", "broken", "unknown", "failing")), max_size=2
        ),
        "request": st.sampled_from([RebalanceRequest(), RebalanceRequest(), RebalanceRequest(mode=OWN)]),
        "config": st.sampled_from([ASKS, ASKS, PRE_APPROVES]),
        "mode": st.sampled_from(MODES),
        "fallback": st.sampled_from(["", "", "correlation cannot be computed"]),
    }
)
_SUBMISSIONS = st.builds(
    Submission,
    mode=st.sampled_from([None, *MODES, "no_such_mode", ""]),
    verdict=st.sampled_from([None, *VERDICTS]),
    explanation=st.sampled_from(["", "Words."]),
    reviews=st.dictionaries(
        st.sampled_from(MODES),
        st.lists(
            st.builds(review, st.sampled_from(("approve", "concerns", "reject"))), min_size=1, max_size=2
        ).map(tuple),
    ),
    completed_by_code=st.sampled_from([(), ("impact",)]),
    notes=st.sampled_from([(), ("a note",)]),
)


@settings(max_examples=400)
@given(given_=_SITUATIONS, said=_SUBMISSIONS)
def test_every_run_ends_in_a_candidate_with_the_same_or_a_lower_verdict_and_approval(
    session: Session, given_: dict[str, Any], said: Submission
) -> None:
    made = dict(given_)
    by_mode = {one.mode: one for one in session.candidates if one.mode in MODES}
    made["candidates"] = {mode: spoilt(by_mode[mode], how=how) for mode, how in made.pop("spoils").items()}
    found = case(session, **made)
    advice = admitted(said, found.situation)
    chosen = found.chosen(advice)
    before, own = found.rulings[chosen], found.own
    after = lowered(before, advice)

    assert chosen in found.situation.candidates
    if after != before:
        assert before.basis == after.basis == "improvement"
        assert RANK[after.recommendation] < RANK[before.recommendation]
        assert after.recommendation == LOWERING[str(said.verdict)]
        assert after.reasons[1:] == before.reasons
        assert advice.ask_person
    if own.basis in ("compliance", "drift"):
        assert (after.recommendation, after.basis) == (own.recommendation, own.basis)
    if advice.mode_taken:
        _require_a_person_and_no_less_safety(found, advice)
    if said.verdict not in (None, "accept") or any(one.verdict == "reject" for one in advice.reviews):
        assert advice.ask_person
    assert advice.reviews == said.reviews.get(chosen, ())
    assert advice.notes[: len(said.notes)] == said.notes
    assert (advice.explanation, advice.completed_by_code) == (said.explanation, said.completed_by_code)
    if said.mode not in (None, chosen):
        assert any(f"recommends {said.mode}; {chosen} stays, because " in note for note in advice.notes)


def _require_a_person_and_no_less_safety(found: Case, advice: Advice) -> None:
    situation = found.situation
    chosen, own = situation.candidates[found.chosen(advice)], situation.candidates[situation.mode]
    assert advice.ask_person
    assert situation.config.execution.approval_required
    assert situation.request.mode is None
    assert situation.fallback == ""
    assert chosen.proposal.traded
    assert found.rulings[chosen.mode].recommendation != "BLOCKED"
    assert own.compliance.repaired_violations or not chosen.compliance.repaired_violations
    if own.compliance.repaired_correlated_exposure == "PASS":
        assert chosen.compliance.repaired_correlated_exposure == "PASS"


# --- in a session ----------------------------------------------------------------------------------------


def fresh(session: Session) -> Session:
    return replace(session, artifacts=dict(session.artifacts), advice=None)


def test_models_have_their_say_once_and_only_before_the_review(session: Session) -> None:
    early = replace(session, artifacts={}, advice=None)
    with pytest.raises(UsageError, match="once, before the review"):
        early.take(Submission())
    run = fresh(session)
    run.take(Submission(mode=OWN, verdict="accept"))
    with pytest.raises(UsageError, match="once, before the review"):
        run.take(Submission(mode=OTHER, verdict="accept"))
    late = fresh(session)
    late.advance()
    with pytest.raises(UsageError, match="once, before the review"):
        late.take(Submission())


def test_the_rules_reviews_come_first_and_a_model_s_beside_them(session: Session) -> None:
    by_rules, by_model = fresh(session), fresh(session)
    drive_by_rules(by_rules, progress=lambda _stage: None)
    by_model.take(Submission(mode=OWN, verdict="accept", reviews={OWN: (review("concerns"),)}))
    drive_by_rules(by_model, progress=lambda _stage: None)
    assert by_model.reviews == (*by_rules.reviews, review("concerns"))
    assert by_model.decision == by_rules.decision


def test_a_taken_mode_is_planned_as_if_a_person_had_asked_for_it(session: Session) -> None:
    asked = replace(fresh(session), request=RebalanceRequest(mode=OTHER))
    drive_by_rules(asked, progress=lambda _stage: None)
    taken = fresh(session)
    assert taken.take(Submission(mode=OTHER, verdict="accept")).mode_taken
    drive_by_rules(taken, progress=lambda _stage: None)
    plan, as_asked = build_plan(taken), build_plan(asked)
    assert plan is not None
    assert as_asked is not None
    why = f"the orchestrator recommends {OTHER} over {OWN}"
    assert plan == as_asked.model_copy(update={"requested_mode": OWN, "fallback": why})
    result = result_of(taken, plan=plan, written=())
    assert (result.mode, result.requested_mode, result.fallback) == (OTHER, OWN, why)
    assert result.warnings[-1] == why


def test_what_a_model_said_is_part_of_the_run_s_identity(session: Session) -> None:
    ids = set()
    for said in (
        None,
        Submission(),
        Submission(mode=OWN, verdict="accept", explanation="A."),
        Submission(notes=("n",)),
    ):
        run = fresh(session)
        if said is not None:
            run.take(said)
        drive_by_rules(run, progress=lambda _stage: None)
        ids.add(result_of(run, plan=build_plan(run), written=()).run_id)
    assert len(ids) == 4
