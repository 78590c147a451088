"""Before a run: does the provider still offer the models that are configured, and for how long?

Best effort: what cannot be found out gives no warning, because a run tells by itself when its calls fail, and
a warning that comes with every missing network is one that nobody reads. Only the plain answer "there is no
such model" is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Final

from portfolio_rebalance.agents.messages import ModelError

__all__ = ["WARN_DAYS", "retiring_models"]

WARN_DAYS: Final = 60


def retiring_models(
    models: Iterable[str], *, retrieve: Callable[[str], Mapping[str, object]], today: date
) -> tuple[str, ...]:
    """Warnings about models that are retired, unknown, or retire within :data:`WARN_DAYS` days.

    All models are asked about at once, so it takes as long as the slowest ``retrieve``, which bounds itself.

    Args:
        models: Names as configured; each is asked about once.
        retrieve: What the provider says about a model (``lifecycle``, ``retires_at``); may raise anything.
        today: In UTC.

    Returns:
        One sentence for each model that needs one, in the order given.
    """
    names = list(dict.fromkeys(models))
    if not names:
        return ()
    with ThreadPoolExecutor(max_workers=len(names)) as asking:
        warnings = asking.map(lambda name: _warning(name, retrieve=retrieve, today=today), names)
        return tuple(warning for warning in warnings if warning)


def _warning(model: str, *, retrieve: Callable[[str], Mapping[str, object]], today: date) -> str:
    try:
        return _told(model, retrieve(model), today=today)
    except ModelError as error:
        return f"The provider knows no model {model}." if error.kind == "unknown_model" else ""
    except Exception:  # best effort: see above
        return ""


def _told(model: str, told: Mapping[str, object], *, today: date) -> str:
    if told.get("lifecycle") == "retired":
        return f"The model {model} is retired: calls to it fail."
    day = _day(told.get("retires_at"))
    if day is None or (days := (day - today).days) > WARN_DAYS:
        return ""
    if days < 0:
        return f"The model {model} was to be retired on {day}: calls to it may fail any day."
    return f"The model {model} will be retired on {day}, in {days} {'day' if days == 1 else 'days'}."


def _day(text: object) -> date | None:
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant.astimezone(UTC) if instant.tzinfo else instant).date()
