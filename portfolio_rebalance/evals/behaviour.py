"""What a scenario's models do, as a client: scripts and healthy models, answered call by call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, get_args

from portfolio_rebalance.agents.messages import Call, FaultKind, Json, ModelError, Reply, Usage, reply_from
from portfolio_rebalance.agents.scripted import ScriptedClient, Step
from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.evals.scenario import ModelsSpec, StepSpec

__all__ = ["client_of", "steps_of"]

_CITED: Final = re.compile(r"\[\[([^\[\]]+)\]\]")
_FACT: Final = re.compile(r"^(F\d+) \| (.+?) \| ", re.MULTILINE)
_REVIEWERS: Final = ("quantitative_analyst", "risk_manager")
_DEFAULT_EXPLANATION: Final = (
    "The portfolio stands at [[total deployed now]] against [[limit of total deployed]]. The draft changes "
    "what the limits and the evidence ask for, and both reviews were read."
)


def client_of(models: ModelsSpec) -> ScriptedClient:
    """The client of a script or of a healthy model; attacks and transcripts have clients of their own.

    Raises:
        BadDataError: The script names no agent, or a step says nothing.
    """
    if models.healthy:
        return ScriptedClient(_healthy(models))
    return ScriptedClient({agent: steps_of(steps) for agent, steps in models.script.items()})


def steps_of(steps: Sequence[StepSpec]) -> list[Step]:
    """Steps as a scripted client takes them."""
    return [_step(one) for one in steps]


def _healthy(models: ModelsSpec) -> Mapping[str, Sequence[Step]]:
    draft = models.draft
    orchestrator = (
        StepSpec(
            calls=(
                {"calculate_correlation_matrix": {"window": "lookback"}},
                {"verify_allocation_compliance": {"draft_id": draft}},
                {"simulate_rebalance_impact": {"draft_id": draft}},
            )
        ),
        StepSpec(calls=tuple({"request_review": {"role": one, "draft_id": draft}} for one in _REVIEWERS)),
        StepSpec(
            calls=(
                {
                    "submit": {
                        "draft_id": draft,
                        "verdict": models.verdict,
                        "explanation": models.explanation or _DEFAULT_EXPLANATION,
                    }
                },
            )
        ),
    )
    reviews = {role: (_review(models, role),) for role in _REVIEWERS}
    suffix = "" if draft == "D1" else f":{draft}"
    return {
        "orchestrator": steps_of(orchestrator),
        **{f"{role}{suffix}": steps_of(steps) for role, steps in reviews.items()},
    }


def _review(models: ModelsSpec, role: str) -> StepSpec:
    concerns = [dict(one) for one in models.concerns.get(role, ())]
    verdict = models.review.get(role, "concerns" if concerns else "approve")
    return StepSpec(calls=({"submit_review": {"verdict": verdict, "concerns": concerns}},))


def _step(spec: StepSpec) -> Step:
    if spec.fault:
        if spec.fault not in get_args(FaultKind):
            raise BadDataError(
                f"There is no fault {spec.fault!r}.", where="fault", fix=f"Name one of {get_args(FaultKind)}."
            )
        return ModelError(cast(FaultKind, spec.fault), "as the scenario says")
    if not (spec.calls or spec.raw or spec.says or spec.stop):
        raise BadDataError(
            "A step does nothing.", where="script", fix="Give calls, raw, says, fault or stop."
        )

    def answer(call: Call) -> Reply:
        ids = {label: fact for fact, label in _FACT.findall(_shown(call.request))}
        blocks: list[Json] = []
        if spec.says:
            blocks.append({"type": "text", "text": _cited(spec.says, ids)})
        named: list[tuple[str, object]] = [pair for one in spec.calls for pair in one.items()]
        named += list(spec.raw.items())
        who = re.sub("[^a-z_0-9]", "_", call.agent.lower())
        for number, (tool, given) in enumerate(named, start=1):
            blocks.append(
                {
                    "type": "tool_use",
                    "id": f"toolu_{who}_{call.turn}_{call.attempt}_{number}",
                    "name": tool,
                    "input": _cited_in(given, ids),
                }
            )
        stop = spec.stop or ("tool_use" if named else "end_turn")
        message = {
            "content": blocks,
            "stop_reason": None if stop == "none" else stop,
            "model": call.request["model"],
        }
        length = len(str(call.request["messages"])) // 4
        reply = reply_from(message)
        usage = Usage(input_tokens=length, output_tokens=len(str(blocks)) // 4)
        return Reply(content=reply.content, stop_reason=reply.stop_reason, usage=usage, model=reply.model)

    return answer


def _shown(request: Json) -> str:
    """Everything that the agent was told."""
    texts = []
    for message in request["messages"]:
        for block in message["content"]:
            texts.append(str(block.get("text") or block.get("content") or ""))
    return "\n".join(texts)


def _cited(text: str, ids: Mapping[str, str]) -> str:
    def fact(match: re.Match[str]) -> str:
        if match[1] not in ids:
            raise BadDataError(
                f"No fact that the agent was shown is labelled {match[1]!r}.",
                where="explanation",
                fix="Use the label of a fact, such as: total deployed now.",
            )
        return f"{{{ids[match[1]]}}}"

    return _CITED.sub(fact, text)


def _cited_in(node: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return _cited(node, ids)
    if isinstance(node, Mapping):
        return {key: _cited_in(value, ids) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_cited_in(value, ids) for value in node]
    return node
