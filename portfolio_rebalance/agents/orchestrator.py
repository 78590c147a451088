"""The orchestrator: leads a run by its tools, and comes to a verdict that code then cuts down.

Code advances the session to its candidates before the first model is asked: so a refusal of the data costs
nothing, every tool but the last two only reads, and whatever a model does or fails to do, the rules can
finish the run from where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from portfolio_rebalance.agents.budget import Budget, Purse
from portfolio_rebalance.agents.citations import render
from portfolio_rebalance.agents.fact_sheet import FactSheet, fact_sheet
from portfolio_rebalance.agents.loop import Agent, converse
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.prompts import load_prompt
from portfolio_rebalance.agents.reading import DraftId, correlation_tool, data, draft_tool, mode_of
from portfolio_rebalance.agents.reviewers import MOST_TURNS, ROLES, Reviewed, Role, review
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool
from portfolio_rebalance.agents.tool_names import TOOL_NAMES
from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.records import RebalanceResult, Verdict
from portfolio_rebalance.run import Session
from portfolio_rebalance.run.advice import Submission

__all__ = ["drive_by_model"]

_MODES: Final = tuple(mode_names())
_TURNS: Final = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
_KEPT_CALLS: Final = 1
"""So many calls stay with the orchestrator when reviewers are asked: it has yet to submit."""


class ModeArguments(Arguments):
    """Whose draft to read."""

    algorithm_mode: str = Field(
        description="Whose draft to read.", json_schema_extra={"enum": list(_MODES)}, max_length=64
    )


class ReviewRequest(Arguments):
    """Whom to ask about which draft."""

    role: Role
    draft_id: DraftId = Field(description="A draft that exists, such as D1.")


class SubmitArguments(Arguments):
    """What the orchestrator came to."""

    draft_id: DraftId = Field(description="The draft that is recommended.")
    verdict: Verdict
    explanation: str = Field(
        description="Three to eight sentences for a trader; every figure a citation such as {F12}.",
        max_length=1500,
    )


class ExecuteArguments(Arguments):
    """Which plan to execute."""

    plan_id: str = Field(description="Id of the plan, as submit returned it.", max_length=80)


@dataclass(slots=True, kw_only=True)
class _Desk:
    """What the orchestrator has seen and asked for in one run."""

    session: Session
    sheet: FactSheet
    client: ModelClient
    purse: Purse
    finish: Callable[[], RebalanceResult]
    execute: Callable[[RebalanceResult], None] | None
    progress: Callable[[str], None]
    seen: dict[str, set[str]] = field(default_factory=dict)
    reviewed: dict[tuple[Role, str], Reviewed] = field(default_factory=dict)
    pending: Submission | None = None
    words_refused: bool = False
    result: RebalanceResult | None = None
    executed: bool = False

    # Reads.

    def generate(self, given: ModeArguments) -> str:
        drafts = {mode: draft for draft, mode in self.sheet.drafts.items()}
        draft = drafts.get(given.algorithm_mode)
        if draft is None:
            raise Refused(f"That mode is not available in this run. Available are {', '.join(drafts)}.")
        self.seen.setdefault(draft, set()).add("proposal")
        return f"This is draft {draft}.\n" + data("proposal", self.sheet.section(f"proposal:{draft}"))

    def look(self, part: str) -> Callable[[str], None]:
        return lambda draft: self.seen.setdefault(draft, set()).add(part)

    def review(self, given: ReviewRequest) -> str:
        answer = self.reviews([given])[0]
        if isinstance(answer, Refused):
            raise answer
        return answer

    def reviews(self, given: Sequence[ReviewRequest]) -> list[str | Refused]:
        """Ask reviewers at once; who was asked about a draft already is not asked again."""
        asked: list[tuple[Role, str]] = []
        answers: dict[tuple[Role, str], str | Refused] = {}
        for one in given:
            key = (one.role, one.draft_id)
            try:
                mode_of(one.draft_id, self.sheet)
            except Refused as refused:
                answers[key] = refused
            known = key in self.reviewed and self.reviewed[key].asked
            if key not in answers and not known and key not in asked:
                asked.append(key)
        self._ask(asked)
        for key in {(one.role, one.draft_id) for one in given} - set(answers):
            answers[key] = _told(key[0], self.reviewed[key])
        return [answers[one.role, one.draft_id] for one in given]

    def _ask(self, asked: Sequence[tuple[Role, str]]) -> None:
        if not asked:
            return
        shares = self.purse.split(len(asked), keep_calls=_KEPT_CALLS, most_calls=MOST_TURNS + 1)
        settings = self.session.state.config.llm.agents

        def ask(key: tuple[Role, str], share: Purse) -> Reviewed:
            return review(
                key[0],
                key[1],
                sheet=self.sheet,
                client=self.client,
                purse=share,
                settings=settings,
                progress=self.progress,
            )

        with ThreadPoolExecutor(max_workers=len(asked)) as pool:
            found = list(pool.map(ask, asked, shares))
        self.purse.join(shares)
        self.reviewed |= dict(zip(asked, found, strict=True))

    # What changes something.

    def submit(self, given: SubmitArguments) -> str:
        if self.result is not None:
            raise Refused("It is submitted already.")
        mode = mode_of(given.draft_id, self.sheet)
        rendered = render(given.explanation, book=self.sheet.book)
        missing = self._missing(given.draft_id)
        self.pending = Submission(
            mode=mode,
            verdict=given.verdict,
            explanation=rendered.text,
            notes=("the orchestrator's words could not be shown",) if rendered.faults else (),
        )
        if missing:
            raise Refused(f"Not accepted yet: {given.draft_id} lacks {', '.join(missing)}. Get it first.")
        if rendered.faults and not self.words_refused:
            self.words_refused = True
            raise Refused("Not accepted yet: " + " ".join(rendered.faults))
        self.result = self.conclude("")
        if self.executable:
            return f"Accepted. The plan is {self.result.plan_id}. It may be executed now, by its id."
        return "Accepted."

    def run_plan(self, given: ExecuteArguments) -> str:
        if self.result is None or not self.executable:
            raise Refused("There is no plan to execute. Submit a draft first.")
        if given.plan_id != self.result.plan_id:
            raise Refused("That is not the plan of this run; its id is in the answer to submit.")
        assert self.execute is not None
        self.executed = True
        self.execute(self.result)
        return "Done."

    @property
    def executable(self) -> bool:
        return self.execute is not None and self.result is not None and self.result.status == "planned"

    @property
    def is_done(self) -> bool:
        return self.result is not None and (self.executed or not self.executable)

    def conclude(self, reason: str) -> RebalanceResult:
        """Hand what models came to over to the session, let the rules finish it, and store it."""
        said = self.pending or Submission(notes=(f"no verdict from the orchestrator: {reason}",))
        reviews: dict[str, tuple[Any, ...]] = {}
        notes = list(said.notes)
        for (role, draft), found in sorted(self.reviewed.items()):
            mode = self.sheet.drafts[draft]
            if found.review is not None:
                reviews[mode] = (*reviews.get(mode, ()), found.review)
            if found.reason:
                notes.append(f"review of {mode} by the {role.replace('_', ' ')}: {found.reason}")
        self.session.take(
            Submission(
                mode=said.mode,
                verdict=said.verdict,
                explanation=said.explanation,
                reviews=reviews,
                completed_by_code=self._completed(said),
                notes=tuple(notes),
            )
        )
        while (stage := self.session.next_stage) is not None:
            self.progress(stage.name)
            self.session.advance()
        return self.finish()

    def _completed(self, said: Submission) -> tuple[str, ...]:
        """What is missing in the end: a review may have come after the verdict."""
        drafts = {mode: draft for draft, mode in self.sheet.drafts.items()}
        return () if said.mode is None else self._missing(drafts[said.mode])

    def _missing(self, draft: str) -> tuple[str, ...]:
        seen = self.seen.get(draft, set())
        parts = [part for part in ("compliance", "impact") if part not in seen]
        unasked = [
            role
            for role in ROLES
            if (role, draft) not in self.reviewed or not self.reviewed[role, draft].asked
        ]
        return (*parts, *(f"the review of {role}" for role in unasked))


def drive_by_model(
    session: Session,
    *,
    client: ModelClient,
    budget: Budget,
    finish: Callable[[], RebalanceResult],
    execute: Callable[[RebalanceResult], None] | None = None,
    progress: Callable[[str], None] = lambda _stage: None,
) -> RebalanceResult:
    """Lead a run to its result with an orchestrator; the rules finish whatever it leaves.

    Args:
        session: Fresh, or half advanced.
        client: Answers.
        budget: Of the run.
        finish: Stores the decided session and returns its result.
        execute: Executes the plan that was just made, where a person asked for that; called at most once.
        progress: Told the name of each stage and turn before it begins.

    Raises:
        RebalanceError: The data, the store or the execution refused, as in a run by rules. Nothing that a
            model does raises.
    """
    while (stage := session.next_stage) is not None and stage.name != "review":
        progress(stage.name)
        session.advance()
    settings = session.state.config.llm
    desk = _Desk(
        session=session,
        sheet=fact_sheet(session),
        client=client,
        purse=budget.purse,
        finish=finish,
        execute=execute,
        progress=progress,
    )
    prompt = load_prompt("orchestrator", variables={"turns": _TURNS[settings.max_turns]}, tools=TOOL_NAMES)
    tools = {tool.name: tool for tool in _tools(desk)}
    agent = Agent(
        role="orchestrator",
        system=prompt.text,
        tools=tuple(tools[name] for name in prompt.tools if name in tools),
        output=prompt.output,
        finished=lambda: desk.is_done,
        settings=settings.agents.orchestrator,
        most_turns=settings.max_turns,
    )
    reason = converse(agent, opening=_opening(desk), client=client, purse=budget.purse, progress=progress)
    if desk.result is None:
        desk.result = desk.conclude(reason)
    return desk.result


def _opening(desk: _Desk) -> str:
    sheet, session = desk.sheet, desk.session
    first = next(iter(sheet.drafts))
    by_whom = "the trader's request" if session.request.mode else "the configuration"
    if session.fallback:
        by_whom = "code, because correlation cannot be computed,"
    drafts = "; ".join(f"{draft} is {mode}" for draft, mode in sheet.drafts.items())
    return "\n\n".join(
        [
            f"Lead this run. {by_whom[0].upper()}{by_whom[1:]} asks for {first}. Drafts: {drafts}.",
            data("state", sheet.section("state")),
            data("strategies", sheet.section("strategies")),
            data("proposal", sheet.section(f"proposal:{first}")),
        ]
    )


def _told(role: Role, found: Reviewed) -> str:
    """A review as another agent hears it: enums and ids, never the reviewer's words."""
    name = role.replace("_", " ")
    if found.review is None:
        return f"The {name} came to no verdict; the rules review in its place."
    concerns = "; ".join(f"{kind} (citing {', '.join(ids)})" if ids else kind for kind, ids in found.kinds)
    return f"The {name} says: {found.review.verdict}. Concerns: {concerns or 'none'}."


def _tools(desk: _Desk) -> tuple[Tool[Any], ...]:
    sheet = desk.sheet
    tools: tuple[Tool[Any], ...] = (
        correlation_tool(sheet),
        Tool(
            name="generate_rebalance_proposal",
            description="The draft that a mode proposes, after repair: changes, totals, exposure.",
            arguments=ModeArguments,
            run=desk.generate,
        ),
        draft_tool("verify_allocation_compliance", sheet, seen=desk.look("compliance")),
        draft_tool("simulate_rebalance_impact", sheet, seen=desk.look("impact")),
        Tool(
            name="request_review",
            description="Ask a reviewer about a draft; ask both in one message, they work at the same time.",
            arguments=ReviewRequest,
            run=desk.review,
            run_together=desk.reviews,
        ),
        Tool(
            name="submit",
            description="Hand in the verdict on a draft whose compliance, impact and both reviews are there.",
            arguments=SubmitArguments,
            run=desk.submit,
            changes_state=True,
        ),
    )
    if desk.execute is None:
        return tools
    return (
        *tools,
        Tool(
            name="execute_rebalance_trades",
            description="Execute the plan of this run, if a person has approved it; code checks and does it.",
            arguments=ExecuteArguments,
            run=desk.run_plan,
            changes_state=True,
        ),
    )
