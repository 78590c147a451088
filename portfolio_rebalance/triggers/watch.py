"""The watch: checks and looks at watched rebalances when their time has come, in the foreground.

For containers and whoever has no scheduler. APScheduler wakes it; the times are those of the cron lines, in
UTC, as ``cronsim`` follows them (APScheduler's own cron counts weekdays from Monday). One act runs at a time;
times that passed while another act ran, or while the machine slept, are made up for by one act. Every minute,
by a clock that nobody can set, the configuration is read again and a machine's time that jumped is followed.
What goes wrong in an act is said, and ends nothing but the act.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from portfolio_rebalance.config import Config
from portfolio_rebalance.cron import every_hours, next_after
from portfolio_rebalance.errors import UsageError

__all__ = ["Watch"]

_LOOK_SECONDS: Final = 60
_EXTRA: Final = "pip install 'trading-portfolio-rebalance[watch]'"
_DISABLED: Final = "nothing was done: the configuration says enabled: false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is done, and when.

    Attributes:
        config: Reads the configuration; called again and again.
        check: Makes a check if one is due, and says what came of it.
        tick: Looks at watched rebalances, and says what came of it; nothing where none is watched.
        say: Told one line at a time.
        now: The machine's time.
    """

    config: Callable[[], Config]
    check: Callable[[], Sequence[str]]
    tick: Callable[[], Sequence[str]]
    say: Callable[[str], None]
    now: Callable[[], datetime]

    def run(self) -> signal.Signals:
        """Watch until the process is told to end; an act that is under way is finished first.

        At the start it makes up for a check that is due, and looks at what is watched. A second signal ends
        the process at once, which loses nothing either: whatever moves money is durable before it moves.

        Returns:
            The signal: SIGTERM or SIGINT.

        Raises:
            UsageError: APScheduler is not installed.
            RebalanceError: The configuration cannot be read at the start.
        """
        with _until_told_to_end() as told:
            lines = self._lines()
            scheduler = _scheduler()
            for name, act in {"check": self.check, "tick": self.tick}.items():
                scheduler.add_job(
                    self._act, _cron(lines[name]), args=(name, act), id=name, next_run_time=self.now()
                )
            scheduler.start()
            self.say(f"watching: check at {lines['check']} (UTC), look at what is watched at {lines['tick']}")
            while not told.wait(_LOOK_SECONDS):
                self._look(scheduler, lines)
            self.say(f"ending ({told.signal.name}): an act that is under way is finished first")
            scheduler.shutdown(wait=True)
            return told.signal

    def _act(self, name: str, act: Callable[[], Sequence[str]]) -> None:
        try:
            said = act() if self.config().enabled else (_DISABLED,)
        except Exception as error:
            said = (f"failed: {error if str(error) else type(error).__name__}",)
        for line in said:
            self.say(f"{name}: {line}")

    def _look(self, scheduler: Any, lines: dict[str, str]) -> None:
        """Follow a changed configuration and a changed time; what cannot be read changes nothing."""
        try:
            configured = self._lines()
        except Exception as error:
            self.say(f"the configuration cannot be read, the old times go on: {error}")
            configured = dict(lines)
        for name, line in configured.items():
            comes = scheduler.get_job(name).next_run_time
            if line != lines[name]:
                lines[name] = line
                self.say(f"{name}: from now on at {line} (UTC)")
            elif comes <= next_after(line, self.now()):
                continue  # else the machine's time was set back
            scheduler.reschedule_job(name, trigger=_cron(line))
        scheduler.wakeup()  # it may have slept past a time that was set ahead

    def _lines(self) -> dict[str, str]:
        config = self.config()
        return {"check": config.schedule, "tick": every_hours(config.monitoring.tracking_interval_hours)}


class _Told:
    """Whether the process was told to end, and by which signal."""

    def __init__(self) -> None:
        self.signal = signal.SIGTERM
        self._event = threading.Event()

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Note the first signal; the next one has its usual effect, at once."""
        self.signal = signal.Signals(number)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for it, no longer than so many seconds; says whether it was."""
        return self._event.wait(seconds)


@contextmanager
def _until_told_to_end() -> Iterator[_Told]:
    told = _Told()
    before = {number: signal.signal(number, told.take) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _scheduler() -> Any:
    """One act at a time, each missed time made up for once, whenever that is."""
    import logging

    try:
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler
    except ImportError:
        raise UsageError(
            "APScheduler is not installed.", where="watch", fix=f"Install it: {_EXTRA}"
        ) from None
    log = logging.getLogger("apscheduler")
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # acts say themselves what went wrong
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )


def _cron(line: str) -> Any:
    """A trigger that comes when the line does."""
    from apscheduler.triggers.base import BaseTrigger

    class Cron(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
            return next_after(line, previous_fire_time or now)

    return Cron()
