"""The judge of a run that models led: what a model may change, written down from the specification alone.

It knows what code came to without a model, and asks of the run: is this one of code's candidates, with the
verdict of code or a lower one where lowering is allowed, with the same or a stricter approval, within its
budget, and is every figure one that code rendered? It shares no line with the module that cuts advice down.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from behaviours import Behaviour
from model_prose import MARK
from model_scenes import Played, Scene

from portfolio_rebalance.agents.messages import Json
from portfolio_rebalance.agents.prices import dollars
from portfolio_rebalance.config import Config
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import Decision, Plan, RebalanceResult
from portfolio_rebalance.run.pre_approval import why_not_pre_approved

__all__ = ["faults_of", "kind_of", "overages", "texts_of", "unfit_text"]

_HEIGHT = {"HOLD": 0, "OPTIONAL": 1, "REBALANCE": 2}
_STATUS = {"REBALANCE": "planned", "OPTIONAL": "planned", "HOLD": "hold", "BLOCKED": "blocked"}
_ROLES = ("quantitative_analyst", "risk_manager")
_MOST_REVIEWER_TURNS = 2
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def faults_of(scene: Scene, behaviour: Behaviour, settings: Llm, played: Played) -> list[str]:
    """Everything about a run that must not be; empty where it is as it should be."""
    return [
        *_faults_of_the_budget(behaviour, settings, played),
        *_faults_of_the_candidates(scene, played.result),
        *_faults_of_the_decision(scene, played.result),
        *_faults_of_the_mode(scene, played.result),
        *_faults_of_the_approval(scene, played.result),
        *_faults_of_the_reviews(scene, played.result),
        *_faults_of_the_plan(scene, played.result),
        *_faults_of_the_execution(played),
        *_faults_of_what_was_heard(scene, behaviour, played),
        *_faults_of_the_words(scene, played.result),
    ]


def kind_of(scene: Scene, played: Played) -> Iterator[str]:
    """What happened in a run, in words to count: a proof in which nothing happens proves nothing."""
    result = played.result
    advice = result.advice
    assert advice is not None
    yield result.driver
    yield result.status
    if result.mode != scene.by_rules.mode:
        yield "another mode"
    if result.decision != scene.rulings[str(result.mode)]:
        yield "lowered"
    if advice.ask_person:
        yield "a person is asked"
    if advice.explanation:
        yield "explained"
    if any(one.source == "model" for one in result.reviews):
        yield "reviewed"
    if any(one.source == "model" and one.cited for one in result.reviews):
        yield "cited"
    if advice.completed_by_code:
        yield "completed by code"
    if played.executed:
        yield "executed"
    for note in advice.notes:
        yield "stays" if " stays, " in note else "a note"


# --- what may be used up ---------------------------------------------------------------------------------


def _faults_of_the_budget(behaviour: Behaviour, settings: Llm, played: Played) -> Iterator[str]:
    made = behaviour.made
    if len(made) > settings.max_calls:
        yield f"{len(made)} calls of {settings.max_calls}"
    if sum(one.calls for one in played.spent) != len(made):
        yield "calls were not counted"
    for agent in {one.call.agent for one in made}:
        turns = max(one.call.turn for one in made if one.call.agent == agent)
        most = settings.max_turns if agent == "orchestrator" else _MOST_REVIEWER_TURNS
        if agent.partition(":")[0] not in ("orchestrator", *_ROLES):
            yield f"{agent} took part"
        elif turns > most:
            yield f"{agent} had {turns} turns of {most}"
    began = 1000.0
    if any(one.at >= began + settings.max_seconds for one in made):
        yield "a call was made when the time was over"
    if any(not 0 < one.call.seconds <= settings.max_seconds for one in made):
        yield "a call was given more time than there is"
    if not behaviour.honest:
        return
    tokens, cost = 0, Decimal(0)
    for one in made:
        if one.reply is not None:
            usage = one.reply.usage
            tokens += usage.input_tokens + usage.output_tokens
            tokens += usage.cache_read_tokens + usage.cache_write_tokens
            cost += dollars(usage, model=one.call.request["model"])
    if tokens > settings.max_tokens:
        yield f"{tokens} tokens of {settings.max_tokens}"
    if cost > settings.max_dollars:
        yield f"{cost} dollars of {settings.max_dollars}"


# --- what code computed ----------------------------------------------------------------------------------


def _faults_of_the_candidates(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    own = {one.mode: one for one in scene.base.candidates}
    if sorted(one.mode for one in result.candidates) != sorted(own):
        yield "a candidate came or went"
    if any(own.get(one.mode) is not one for one in result.candidates):
        yield "a candidate is not the one that code computed"
    if result.chosen is None or result.chosen.mode != result.mode:
        yield "what is decided on is not what is said"
    if (
        result.assessment is not scene.by_rules.assessment
        or result.correlation is not scene.by_rules.correlation
    ):
        yield "the state was measured anew"
    if (result.requested_mode, result.as_of) != (scene.by_rules.requested_mode, scene.by_rules.as_of):
        yield "the request became another"
    if (
        result.error is not None
        or result.execution is not None
        or result.exit_code != (13 if result.status == "blocked" else 0)
    ):
        yield f"the end is odd: {result.exit_code} {result.error}"


def _faults_of_the_decision(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    """The ruling of code on the chosen candidate, or a lower one where its basis is improvement."""
    decision, ruling = result.decision, scene.rulings[str(result.mode)]
    configured = scene.rulings[scene.base.configured_mode]
    assert decision is not None
    if result.status != _STATUS[decision.recommendation]:
        yield f"{decision.recommendation} is {result.status}"
    if decision != ruling:
        yield from _faults_of_a_lowering(decision, ruling)
        if result.advice is None or result.advice.verdict not in ("downgrade_optional", "downgrade_hold"):
            yield "it was lowered and nobody asked for that"
        elif decision.recommendation != {"downgrade_hold": "HOLD"}.get(result.advice.verdict, "OPTIONAL"):
            yield "it was lowered to something else than was asked for"
    if configured.basis in ("compliance", "drift") and (decision.recommendation, decision.basis) != (
        configured.recommendation,
        configured.basis,
    ):
        yield f"{configured.basis} demands {configured.recommendation}, and it is {decision.recommendation}"


def _faults_of_a_lowering(decision: Decision, ruling: Decision) -> Iterator[str]:
    if ruling.basis != "improvement":
        yield f"a recommendation was changed whose basis is {ruling.basis}"
    elif not _HEIGHT[decision.recommendation] < _HEIGHT[ruling.recommendation]:
        yield f"{ruling.recommendation} became {decision.recommendation}"
    kept = ("basis", "improvement_verdict", "confidence", "evidence")
    if any(getattr(decision, name) != getattr(ruling, name) for name in kept):
        yield "more than the recommendation was changed"
    if decision.reasons[-len(ruling.reasons) :] != ruling.reasons:
        yield "a reason of code is hidden"
    if not decision.headline.startswith(f"{decision.recommendation} ({decision.basis}): "):
        yield "the headline says something else"


def _faults_of_the_mode(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    """A model's mode waits for a person, and is taken only where a person may look at it first."""
    own, mode, config = scene.base.configured_mode, str(result.mode), scene.base.state.config
    advice = result.advice
    assert advice is not None
    if advice.mode_taken is not (mode != own):
        yield "whether a mode was taken is told wrongly"
    if mode == own:
        if result.fallback != scene.by_rules.fallback:
            yield "the fallback is told wrongly"
        return
    if advice.recommended_mode != mode:
        yield f"{mode} was recommended by nobody"
    if scene.base.request.mode is not None:
        yield "a person asked for a mode and got another"
    if not config.execution.approval_required:
        yield "a model's mode could be executed without a person"
    if scene.base.correlation.status != "evaluated":
        yield "correlation is unknown, and a model chose the mode"
    if not advice.ask_person:
        yield "a model's mode does not wait for a person"
    if not result.fallback:
        yield "that the mode is a model's is not told"
    chosen, before = result.candidates[0], next(one for one in scene.base.candidates if one.mode == own)
    if not chosen.proposal.traded:
        yield "a model chose to change nothing"
    if chosen.compliance.blocked is not None or (
        len(chosen.compliance.repaired_violations) > len(before.compliance.repaired_violations)
    ):
        yield "a model's mode breaks a limit"
    if (
        chosen.compliance.repaired_correlated_exposure != "PASS"
        and before.compliance.repaired_correlated_exposure == "PASS"
    ):
        yield "correlated exposure is not known to hold any more"


def _faults_of_the_approval(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    """Where the run by rules needs a person, or a model asks for one, so does this one."""
    if result.plan is None:
        return
    assert result.advice is not None
    config = scene.base.state.config
    for rested in (True, False):
        now = why_not_pre_approved(result, config=config, rested=rested)
        if now:
            continue
        if result.advice.ask_person:
            yield "a model asks for a person, and the plan is pre-approved"
        if scene.by_rules.plan is None:
            yield "there was no plan without a model, and now one is pre-approved"
        elif before := why_not_pre_approved(scene.by_rules, config=config, rested=rested):
            yield f"pre-approved, although {before}"
        elif result.mode != scene.by_rules.mode:
            yield "a model's mode is pre-approved"


def _faults_of_the_reviews(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    """The rules' reviews come first, whole; a model's are beside them and bear its name."""
    rules = scene.asked_for[str(result.mode)].reviews
    if scene.asked_for[str(result.mode)].mode != result.mode:
        rules = scene.by_rules.reviews
    if result.reviews[: len(rules)] != rules:
        yield "a review by rules is missing, or is another"
    more = result.reviews[len(rules) :]
    if any(one.source != "model" for one in more):
        yield "a model's review says that it is by rules"
    if len({one.role for one in more}) != len(more):
        yield "a role spoke twice"
    if any(one.verdict != "approve" and not one.concerns for one in more):
        yield "a verdict has no reason"
    book = scene.sheet.book
    shown = {
        f"{re.sub(r'[SD][0-9]+', lambda name: book.names.get(name[0], name[0]), fact.label)}: {fact.shown}"
        for fact in book
    }
    if any(not set(one.cited) <= shown for one in more):
        yield "something is cited that is no fact"
    assert result.advice is not None
    if result.advice.reviews != more:
        yield "the advice has other reviews"


def _faults_of_the_plan(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    """The plan of the run by rules for that mode, with a model's words beside it and nothing else."""
    if (result.plan is None) is (result.status == "planned"):
        yield f"{result.status}, and a plan: {result.plan is not None}"
    if result.plan is None:
        if result.plan_id is not None:
            yield "a plan has an id and no content"
        return
    model = scene.by_rules if result.mode == scene.by_rules.mode else scene.asked_for[str(result.mode)]
    if model.plan is None:
        yield "there is a plan where code has none"
        return
    said = {"reviews": result.reviews, "decision": result.decision}
    told = {"fallback": result.fallback, "requested_mode": scene.by_rules.requested_mode}
    if result.plan != model.plan.model_copy(update={**said, **told}):
        yield f"the plan is another: {_differences(result.plan, model.plan, {*said, *told})}"
    config = scene.base.state.config
    if result.plan.limits_bp != _configured_limits(config):
        yield "a limit of the plan is not the configured one"
    if overages(result.plan, config):
        yield f"the plan breaks {overages(result.plan, config)}"


def _differences(one: Plan, other: Plan, told: set[str]) -> list[str]:
    return [
        name for name in Plan.model_fields if name not in told and getattr(one, name) != getattr(other, name)
    ]


def _configured_limits(config: Config) -> dict[str, Fraction]:
    """In basis points, from the configuration as it is written."""
    breakers = config.circuit_breakers
    share = config.correlation_analysis.correlated_cluster_max_allocation
    return {
        "total": Fraction(breakers.max_total_deployed_percent * 100),
        "cluster": min(Fraction(breakers.max_correlated_exposure_percent * 100), Fraction(share * 10_000)),
        "individual_max": Fraction(breakers.max_individual_allocation_percent * 100),
        "individual_min": Fraction(breakers.min_allocation_percent * 100),
    }


def overages(plan: Plan, config: Config) -> list[str]:
    """Limits that a plan breaks, summed here and not by the product."""
    limits = _configured_limits(config)
    after = {
        one.strategy: Fraction(one.current_bp if one.proposed_bp is None else one.proposed_bp)
        for one in plan.strategies
    }
    broken = ["total"] if sum(after.values()) > limits["total"] else []
    for group in plan.clusters or ():
        if len(group) > 1 and sum(after[one] for one in group) > limits["cluster"]:
            broken.append("cluster " + "+".join(group))
    broken += [one for one, bp in after.items() if bp > limits["individual_max"]]
    return broken + [one for one, bp in after.items() if 0 < bp < limits["individual_min"]]


def _faults_of_the_execution(played: Played) -> Iterator[str]:
    if len(played.executed) > 1:
        yield "it was executed more than once"
    if any(one is not played.result for one in played.executed):
        yield "another plan was executed"
    if played.executed and played.result.status != "planned":
        yield f"{played.result.status} was executed"


def _faults_of_what_was_heard(scene: Scene, behaviour: Behaviour, played: Played) -> Iterator[str]:
    """Only calls of a complete message, of an agent that may make them, have any effect."""
    submitted, reviewed, asked_for = set(), set(), set()
    for one in behaviour.made:
        if one.reply is None or one.reply.stop_reason != "tool_use":
            continue
        role = one.call.agent.partition(":")[0]
        for use in one.reply.tool_uses:
            given = _arguments(use.input)
            if role == "orchestrator" and use.name == "submit":
                draft = str(given.get("draft_id"))
                submitted.add((str(given.get("verdict")), scene.sheet.drafts.get(draft)))
            if role in _ROLES and use.name == "submit_review":
                verdict = str(given.get("verdict"))
                reviewed |= {(role, verdict), (role, "concerns" if given.get("concerns") else verdict)}
            if role == "orchestrator" and use.name == "execute_rebalance_trades":
                asked_for.add(str(given.get("plan_id")))
    advice = played.result.advice
    assert advice is not None
    if advice.verdict is not None and (advice.verdict, advice.recommended_mode) not in submitted:
        yield "a verdict that no complete message holds"
    if any((one.role, one.verdict) not in reviewed for one in advice.reviews):
        yield "a review that no complete message holds"
    if played.executed and played.result.plan_id not in asked_for:
        yield "an execution that no complete message asks for"


def _arguments(given: Json | str) -> Json:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return {}
    return given if isinstance(given, dict) else {}


# --- what a reader sees ----------------------------------------------------------------------------------


def texts_of(result: RebalanceResult) -> Iterator[str]:
    """Every text of a result that a model could have had a part in."""
    advice, decision = result.advice, result.decision
    if advice is not None:
        yield from (advice.explanation, *advice.notes, *advice.completed_by_code)
        yield advice.recommended_mode or ""
    for review in result.reviews:
        yield from (*review.concerns, *review.cited)
    if decision is not None:
        yield from (decision.headline, *decision.reasons)
    yield from (result.fallback, result.batch_explained, *result.alerts, *result.warnings)
    if result.plan is not None:
        yield result.plan.fallback
    if result.error is not None:
        yield from (result.error.what, result.error.where, result.error.fix)


def unfit_text(texts: Sequence[str]) -> list[str]:
    """Texts with a character that a reader does not see, or with the mark of what nobody may see."""
    return [
        text
        for text in texts
        if MARK in text.lower() or any(unicodedata.category(one) in _UNSEEN for one in text)
    ]


def _faults_of_the_words(scene: Scene, result: RebalanceResult) -> Iterator[str]:
    for text in unfit_text(list(texts_of(result))):
        yield f"unfit to be shown: {text[:200]!a}"
    advice = result.advice
    assert advice is not None
    if (advice.explained_by == "model") is not bool(advice.explanation):
        yield "who explains is told wrongly"
    said = [advice.explanation]
    for review in result.reviews:
        if review.source == "model":
            said += review.concerns
    for text in said:
        if left := _figures_of_nobody(text, scene):
            yield f"figures of nobody: {left[:80]!a} in {text[:200]!a}"


def _figures_of_nobody(text: str, scene: Scene) -> str:
    """What is left of a text's figures once every fact and every known name is taken out of it."""
    if not any(map(_is_figure, text)):
        return ""
    rest = _known(scene).sub(" ", text)
    return "".join(one for one in rest if _is_figure(one))


def _is_figure(one: str) -> bool:
    return one.isdigit() or unicodedata.numeric(one, None) is not None


_KNOWN: dict[str, re.Pattern[str]] = {}


def _known(scene: Scene) -> re.Pattern[str]:
    """Whatever code itself may write: what facts show, and what short names stand for; the longest first."""
    if scene.name not in _KNOWN:
        book = scene.sheet.book
        shown = {*(fact.shown for fact in book), *book.names.values(), *book.names}
        ordered = "|".join(map(re.escape, sorted(filter(None, shown), key=len, reverse=True)))
        _KNOWN[scene.name] = re.compile(rf"(?<![\d.,])(?:{ordered})(?!\d)")
    return _KNOWN[scene.name]
