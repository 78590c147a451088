"""A scenario: a workspace, a request, what models do, and how the world must stand afterwards."""

from __future__ import annotations

from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.config_types import Number, Section
from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.workspace import schema, strict_yaml

__all__ = [
    "FAMILIES",
    "Expected",
    "Family",
    "ModelsSpec",
    "RequestSpec",
    "ReturnsSpec",
    "Scenario",
    "StepSpec",
    "StrategySpec",
    "WorkspaceSpec",
    "load_scenarios",
    "scenario_from",
]

Family: TypeAlias = Literal["documented", "real_returns", "hard_data", "attacks", "model_faults", "long"]
FAMILIES: Final[tuple[Family, ...]] = (
    "documented",
    "real_returns",
    "hard_data",
    "attacks",
    "model_faults",
    "long",
)
_Count: TypeAlias = Annotated[int, Field(ge=0, le=10_000)]


class StrategySpec(Section):
    """One strategy of a scenario's workspace.

    Attributes:
        capital: In money.
        target_percent: Of total capital; what the capital is of it where left out.
        name: Free text, as a person or an attacker would write it into the registry.
        positions: Asset, quantity and price, such as ``BTC 0.4 50000``; none needs no orders.
        snapshot_age_hours: Of the newest snapshot; None where there is none.
    """

    capital: Number
    target_percent: Number | None = None
    name: str = ""
    assets: tuple[str, ...] = ("BTC",)
    positions: tuple[str, ...] = ()
    pinned: bool = False
    control: Literal["positions", "bot"] | None = None
    account: str | None = None
    snapshot_age_hours: _Count | None = 1


class ReturnsSpec(Section):
    """Daily returns.

    Attributes:
        kind: ``factor``: drawn, with one common factor for each group; ``real``: columns of the packaged real
            returns.
        days: How many, ending on the last closed day.
        groups: For ``factor``: strategies that move together.
        rho: Correlation inside a group.
        columns: For ``real``: strategy to column.
        until: For ``real``: the last day.
        drift: For ``factor``: mean daily return by strategy, 0.001 where left out.
        volatility: For ``factor``: standard deviation of a day by strategy, 0.02 where left out.
        defects: Strategy to what is wrong with its series: ``hole`` (twelve days missing), ``constant``,
            ``idle`` (all zero), ``misdated`` (a day late), ``new`` (ten days only), ``none`` (no file),
            ``percent`` (a hundred times too large), or ``copy:STR-X``, ``offset:STR-X``, ``late:STR-X``
            (another's series, its opposite, a day later), ``joins:STR-X`` (with another's for the last thirty
            days, on its own before).
    """

    kind: Literal["factor", "real"] = "factor"
    days: Annotated[int, Field(ge=5, le=700)] = 90
    seed: int = 1
    groups: tuple[tuple[str, ...], ...] = ()
    rho: Annotated[Number, Field(ge=0, lt=1)] = Decimal("0.85")
    columns: dict[str, str] = Field(default_factory=dict)
    until: str | None = None
    drift: dict[str, Number] = Field(default_factory=dict)
    volatility: dict[str, Number] = Field(default_factory=dict)
    defects: dict[str, str] = Field(default_factory=dict)


class WorkspaceSpec(Section):
    """The workspace.

    Attributes:
        as_of: The instant of the run.
        many: Adds so many more strategies of equal capital (``many_capital``), for long portfolios.
        config: Lines of the configuration below its top-level key, as text.
        bootstrap_note: Free text around our block in BOOTSTRAP.md.
        files: Further files, path below ``.crypto`` to text; for what must be refused.
        halted: Whether a HALT file stands there.
        earlier_total: Total capital that a run by rules saw a day before; None where there was no such run.
    """

    as_of: str = "2025-02-05T02:00:00Z"
    total_capital: Number = Decimal(60_000)
    currency: str = "USDT"
    strategies: dict[str, StrategySpec]
    returns: ReturnsSpec = ReturnsSpec()
    many: _Count = 0
    many_capital: Number = Decimal(600)
    config: str = ""
    bootstrap_note: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    halted: bool = False
    earlier_total: Number | None = None


class RequestSpec(Section):
    """The request, and who is there.

    Attributes:
        text: As typed after the slash, instead of the rest.
        person: Whether somebody at a terminal answers, and what.
    """

    text: str | None = None
    mode: str | None = None
    dry_run: bool = False
    execute: bool = False
    hold: tuple[str, ...] = ()
    person: Literal["nobody", "approves", "declines"] = "nobody"


class StepSpec(Section):
    """What a model does in one call: exactly one of these.

    Attributes:
        calls: Tools with their arguments, such as ``{submit: {draft_id: D1, ...}}``.
        raw: A tool whose arguments are this text, whatever it is.
        says: Text, and no tool.
        fault: Kind of a failed call.
        stop: Stop reason, where it is not the usual one.
    """

    calls: tuple[dict[str, dict[str, Any]], ...] = ()
    raw: dict[str, str] = Field(default_factory=dict)
    says: str = ""
    fault: str = ""
    stop: str | None = None


class ModelsSpec(Section):
    """What models do: exactly one of these, or nothing for a run by rules.

    Attributes:
        script: By agent, what it does call after call.
        healthy: A model that does its work: reads, both reviews, a verdict; the next five keys change it.
        verdict: Of the orchestrator.
        draft: That it submits.
        explanation: Its words; ``[[label]]`` cites the fact with that label.
        concerns: By reviewer: kind and text of each concern.
        review: By reviewer: the verdict.
        transcript: Name of a committed transcript.
        attack: ``goals``, ``programs`` and ``sinks`` of attacks; each combination is a case of its own.
    """

    script: dict[str, tuple[StepSpec, ...]] = Field(default_factory=dict)
    healthy: bool = False
    verdict: str = "accept"
    draft: str = "D1"
    explanation: str = ""
    concerns: dict[str, tuple[dict[str, str], ...]] = Field(default_factory=dict)
    review: dict[str, str] = Field(default_factory=dict)
    transcript: str = ""
    attack: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Expected(Section):
    """How the world must stand afterwards; what is left out is not asked.

    Attributes:
        allocations: Percent of total capital proposed, by strategy, exact to the basis point.
        alerts: Words that alerts and warnings together must hold.
        notes: Words that the models' notes must hold.
        finds: Kinds of planted defects that the reviews (rules' and models') must name, in their own words.
        orders: How many orders the venue must have filled; 0 where left out and nothing was executed.
    """

    status: Literal["planned", "hold", "blocked", "refused", "executed", "reverted"]
    exit_code: int | None = None
    error: str | None = None
    mode: str | None = None
    driver: Literal["rules", "model"] | None = None
    recommendation: str | None = None
    basis: str | None = None
    confidence: str | None = None
    fallback: bool | None = None
    exposure: Literal["PASS", "FAIL", "NOT_EVALUATED"] | None = None
    allocations: dict[str, Number] = Field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    ask_person: bool | None = None
    mode_taken: bool | None = None
    orders: Literal["none", "some"] | None = None
    most_calls: int | None = None


class Scenario(Section):
    """One scenario.

    Attributes:
        name: Unique; the file's name.
        about: One sentence: what it proves.
        benign: Whether models mean well, so that the task must be completed.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{2,79}$")]
    family: Family
    about: str
    benign: bool = True
    workspace: WorkspaceSpec
    request: RequestSpec = RequestSpec()
    models: ModelsSpec = ModelsSpec()
    expect: Expected


def load_scenarios(folder: Traversable | None = None) -> tuple[Scenario, ...]:
    """Every scenario of a folder and its sub-folders, by name.

    Args:
        folder: The packaged ones where None.

    Raises:
        BadDataError: A file is not a scenario, or two have the same name; says where.
    """
    top = files("portfolio_rebalance.evals") / "scenarios" if folder is None else folder
    found: dict[str, Scenario] = {}
    for file in sorted(_files(top), key=str):
        scenario = scenario_from(file.read_text(encoding="utf-8"), label=file.name)
        if scenario.name in found or file.name != f"{scenario.name}.yaml":
            raise BadDataError(
                f"The scenario is named {scenario.name}.",
                where=file.name,
                fix="Give it the name of its file; no two have the same.",
            )
        found[scenario.name] = scenario
    return tuple(found[name] for name in sorted(found))


def scenario_from(text: str, *, label: str) -> Scenario:
    """A scenario from its text.

    Raises:
        BadDataError: It is none, with ``file:line``.
    """
    return schema.validate(strict_yaml.parse(text, label=label), Scenario)


def _files(folder: Traversable) -> list[Traversable]:
    found: list[Traversable] = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _files(one)
        elif one.name.endswith(".yaml"):
            found.append(one)
    return found
