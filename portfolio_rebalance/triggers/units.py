"""Ready files for the scheduler of an operating system: systemd, cron or launchd.

Two jobs: the drift check at the times of ``schedule``, and a look at watched rebalances every
``tracking_interval_hours``. Times are UTC. systemd says so itself, and some crons do, with ``CRON_TZ``; other
crons and launchd know local time alone, which daylight saving shifts: they start the check often, with
``--due``.
"""

from __future__ import annotations

import plistlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final, Literal, TypeAlias, get_args

from portfolio_rebalance.config import Config
from portfolio_rebalance.cron import every_hours
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.triggers.crontab import crontab_fields
from portfolio_rebalance.triggers.due import poll_minutes
from portfolio_rebalance.triggers.systemd import calendar_of

__all__ = ["KINDS", "Kind", "UnitFiles", "unit_files", "write_units"]

Kind: TypeAlias = Literal["systemd", "cron", "launchd"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_NAME: Final = "trading-portfolio-rebalance"
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./=:,@")
_SECONDS_PER_MINUTE: Final = 60
_SECONDS_PER_HOUR: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """What to install.

    Attributes:
        files: Names to contents.
        notes: How, and what to know about it.
    """

    files: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jobs:
    """Both commands as words, and when they run.

    Attributes:
        due: The check that looks first whether it is due.
    """

    check: tuple[str, ...]
    due: tuple[str, ...]
    monitor: tuple[str, ...]
    schedule: str
    hours: int


def unit_files(kind: Kind, *, config: Config, workspace: Path, program: Sequence[str]) -> UnitFiles:
    """The files for one scheduler.

    Args:
        kind: Which.
        config: In force; only ``enabled``, ``schedule`` and ``tracking_interval_hours`` are looked at.
        workspace: Absolute path of the workspace folder.
        program: How the program is started, as words; the first is an absolute path.

    Raises:
        UsageError: A path holds a control character, which no unit file can say.
    """
    for word in (*program, str(workspace)):
        if not word.isprintable():
            raise UsageError(
                f"{word!r} holds a character that no unit file can hold.",
                where="--workspace",
                fix="Rename the folder.",
            )
    there = ("--workspace", str(workspace))
    jobs = _Jobs(
        check=(*program, "schedule", "run", *there),
        due=(*program, "schedule", "run", "--due", *there),
        monitor=(*program, "monitor", "--scheduled", *there),
        schedule=config.schedule,
        hours=config.monitoring.tracking_interval_hours,
    )
    made = _MAKERS[kind](jobs)
    if config.enabled:
        return made
    stopped = "The configuration says enabled: false: until that changes, what is started says so and ends."
    return UnitFiles(files=made.files, notes=(stopped, *made.notes))


def write_units(units: UnitFiles, directory: Path) -> tuple[Path, ...]:
    """Write the files, all or none; a file that is there already and says something else is not touched.

    Raises:
        UsageError: Such a file is there, or the folder cannot be written to.
    """
    places = {directory / name: text for name, text in units.files.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in places.items():
            if path.is_symlink() or (path.exists() and path.read_text("utf-8", "replace") != text):
                raise UsageError(
                    "This file is there already and says something else; nothing was written.",
                    where=str(path),
                    fix="Look at it, then move it away or name another folder.",
                )
        for path, text in places.items():
            path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(
            f"It cannot be written: {error.strerror}.",
            where=str(error.filename or directory),
            fix="Name a folder that you may write to.",
        ) from error
    return tuple(places)


# systemd.


def _systemd(jobs: _Jobs) -> UnitFiles:
    calendar = calendar_of(jobs.schedule)
    check = jobs.check if calendar.exact else jobs.due
    (look,) = calendar_of(every_hours(jobs.hours)).lines
    files = {
        f"{_NAME}-check.service": _service("Drift check of a portfolio of trading strategies", check),
        f"{_NAME}-check.timer": _timer("When the drift is checked", calendar.lines),
        f"{_NAME}-monitor.service": _service(
            "A look at rebalances that are being watched", jobs.monitor, after=f"{_NAME}-check.service"
        ),
        f"{_NAME}-monitor.timer": _timer("When watched rebalances are looked at", (look,)),
    }
    notes = (
        "Put them in ~/.config/systemd/user, then: systemctl --user daemon-reload; systemctl --user enable "
        f"--now {_NAME}-check.timer {_NAME}-monitor.timer",
        "They run while you are logged in; to have them run always: loginctl enable-linger",
        f"Keys and addresses go into ~/.config/{_NAME}/environment, as NAME=value, readable by you alone.",
    )
    return UnitFiles(files=files, notes=notes)


def _service(description: str, words: Sequence[str], *, after: str = "") -> str:
    ordering = f"After={after}\n" if after else ""
    return (
        f"[Unit]\nDescription={description}\n{ordering}\n[Service]\nType=oneshot\n"
        f"EnvironmentFile=-%h/.config/{_NAME}/environment\n"
        f"ExecStart={' '.join(map(_systemd_word, words))}\n"
    )


def _timer(description: str, lines: Sequence[str]) -> str:
    calendar = "".join(f"OnCalendar={line}\n" for line in lines)
    return (
        f"[Unit]\nDescription={description}\n\n[Timer]\n{calendar}AccuracySec=1s\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _systemd_word(word: str) -> str:
    """A word of ``ExecStart``: quoted, and with nothing left for systemd to expand."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if word and set(word) <= _SAFE:
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# cron.


def _cron(jobs: _Jobs) -> UnitFiles:
    poll = poll_minutes(jobs.schedule)
    polled = f"*/{poll} * * * * {_shell(jobs.due)}" if poll > 1 else f"* * * * * {_shell(jobs.due)}"
    look = f"{crontab_fields(every_hours(jobs.hours))} {_shell(jobs.monitor)}"
    plain = crontab_fields(jobs.schedule)
    head = f"# {_NAME}: the drift check, and a look at rebalances that are being watched.\n"
    if plain is None:
        text = (
            f"{head}# No cron can say {jobs.schedule}, so it looks whether the check is due, in UTC.\n"
            f"{polled}\n{look}\n"
        )
    else:
        often = "minute" if poll == 1 else f"{poll} minutes"
        text = (
            f"{head}# CRON_TZ is known to cronie (Fedora, RHEL, Arch).\nCRON_TZ=UTC\n"
            f"{plain} {_shell(jobs.check)}\n{look}\n"
            "# The crons of Debian, Ubuntu, Alpine and macOS take local time, which daylight saving shifts.\n"
            "# There, unless the machine is on UTC, put this in place of the first of the two: it looks\n"
            f"# every {often} whether the check is due, in UTC.\n"
            f"# {polled}\n"
        )
    notes = (
        "Look through it, then add it at the end of yours, because CRON_TZ holds for every line below it: "
        "crontab -e",
        "cron passes no variables of your shell on: set keys and addresses above the lines, as NAME=value.",
    )
    return UnitFiles(files={f"{_NAME}.crontab": text}, notes=notes)


def _shell(words: Sequence[str]) -> str:
    """A command of a crontab, where a bare percent sign would end it."""
    return " ".join(map(quote, words)).replace("%", "\\%")


# launchd.


def _launchd(jobs: _Jobs) -> UnitFiles:
    files = {
        f"{_NAME}.check.plist": _plist(
            "check", jobs.due, seconds=poll_minutes(jobs.schedule) * _SECONDS_PER_MINUTE
        ),
        f"{_NAME}.monitor.plist": _plist("monitor", jobs.monitor, seconds=jobs.hours * _SECONDS_PER_HOUR),
    }
    notes = (
        f"Put them in ~/Library/LaunchAgents, then: launchctl load ~/Library/LaunchAgents/{_NAME}.*.plist",
        "launchd's calendar is local time alone, which daylight saving shifts. So it starts the check every "
        f"{poll_minutes(jobs.schedule)} minutes, and the check looks whether it is due, in UTC.",
        "launchd passes no variables of your shell on: add keys and addresses as EnvironmentVariables.",
    )
    return UnitFiles(files=files, notes=notes)


def _plist(job: str, words: Sequence[str], *, seconds: int) -> str:
    content = {
        "Label": f"{_NAME}.{job}",
        "ProgramArguments": list(words),
        "StartInterval": seconds,
        "RunAtLoad": True,
    }
    return plistlib.dumps(content, sort_keys=False).decode()


_MAKERS: Final[Mapping[Kind, Callable[[_Jobs], UnitFiles]]] = {
    "systemd": _systemd,
    "cron": _cron,
    "launchd": _launchd,
}
