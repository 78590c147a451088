"""Follow up: one look at what is watched, with the models' words on what is new, told to whom it concerns.

Code looks, grades and learns first, and stores it; only then is a model asked, and only where there is
something to explain: an alert, or the end of a watch. Whatever a model does, what code found stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.monitoring.learning import diverged
from portfolio_rebalance.records import Learned, MonitorReport, Outcome, RebalanceRequest, Tick
from portfolio_rebalance.run.follow import follow, learn
from portfolio_rebalance.run.queries import config_of
from portfolio_rebalance.serving import calls_for_models
from portfolio_rebalance.workspace.spending import keep_spend

if TYPE_CHECKING:
    from portfolio_rebalance.agents.models import Models

__all__ = ["monitor"]


def monitor(
    root: Path,
    *,
    clock: Clock,
    now: Callable[[], datetime],
    progress: Callable[[str], None] = lambda _stage: None,
    models: Models | None = None,
    environment: Mapping[str, str] = os.environ,
) -> MonitorReport:
    """Look once at every rebalance that is watched.

    Args:
        root: The workspace.
        clock: Decides which days have closed.
        now: The machine's time.
        progress: Told what is being done.
        models: For tests; by default those that configuration and environment call for.
        environment: Holds the key of a model's provider, and the addresses of whom to notify.

    Returns:
        What was found. Whoever could not be notified of it is a note beside it, and nothing else.

    Raises:
        WorkspaceBusyError: Another process is at work here.
        LedgerError: The ledger cannot be used; nothing was stored.
        BadDataError: A return file or the configuration cannot be trusted; nothing was stored.
    """
    progress("looking at what is watched")
    report = follow(root, clock=clock)
    config = config_of(root)
    report = _in_words(
        report, root=root, clock=clock, now=now, progress=progress, models=models, environment=environment
    )
    if not config.notifications:
        return report
    from portfolio_rebalance.run.telling import tell_following

    undelivered = tell_following(
        root,
        report.ticks,
        report.outcomes,
        clock=clock,
        config=config,
        environment=environment,
        now=now(),
    )
    return report.model_copy(update={"notes": (*report.notes, *undelivered)})


def _in_words(
    report: MonitorReport,
    *,
    root: Path,
    clock: Clock,
    now: Callable[[], datetime],
    progress: Callable[[str], None],
    models: Models | None,
    environment: Mapping[str, str],
) -> MonitorReport:
    """The report with the models' words on what is new, where there is something and models take part."""
    news = tuple(_news(report, clock))
    if not news:
        return report
    config = config_of(root)
    try:
        models = models or _opened(config, environment=environment, today=now().date())
        if models is None:
            return report
        return _explained(report, news, root=root, models=models, config=config, progress=progress)
    except RebalanceError as error:
        # What code found is stored and told, whatever becomes of a model's words.
        return report.model_copy(update={"notes": (*report.notes, f"no model explains it: {error.what}")})


def _opened(config: Config, *, environment: Mapping[str, str], today: date) -> Models | None:
    """The models that the configuration and the environment call for."""
    request = RebalanceRequest()
    if not calls_for_models(request, config.llm, environment):
        return None
    from portfolio_rebalance.agents.models import open_models

    return open_models(request, settings=config.llm, environment=environment, today=today)


def _news(report: MonitorReport, clock: Clock) -> Iterator[Tick | Outcome]:
    """What was not there before: outcomes, and looks of now that told something."""
    yield from report.outcomes
    graded = {outcome.plan_id for outcome in report.outcomes}
    for tick in report.ticks:
        if tick.at == clock.as_of and tick.alerts and tick.plan_id not in graded:
            yield tick


def _explained(
    report: MonitorReport,
    news: tuple[Tick | Outcome, ...],
    *,
    root: Path,
    models: Models,
    config: Config,
    progress: Callable[[str], None],
) -> MonitorReport:
    """The report with the models' words; causes are asked for only where something left its interval."""
    learned: list[Learned] = []
    if config.learning.extract_learnings and config.learning.feedback_agent_enabled:
        for seen in filter(diverged, news):
            learned += models.causes(seen, progress=progress)
    newest = next(tick for tick in report.ticks if tick.plan_id == news[0].plan_id)
    explained = models.explain_tick(newest, progress=progress)
    if learned:
        learn(root, learned=learned)
    name = f"monitor-{newest.plan_id[:16]}-{newest.number}"
    spend = models.close(name=name)
    keep_spend(root, run_id=name, at=newest.at, spend=spend)
    return report.model_copy(
        update={"learned": (*report.learned, *learned), "explained": explained, "spend": spend}
    )
