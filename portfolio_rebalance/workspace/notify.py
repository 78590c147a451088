"""Notifications: each notice to each target once, whatever becomes of the process or of the endpoint.

A notice is claimed in the ledger before it is sent, so that of two processes one sends it, and marked as sent
afterwards. What failed, or was claimed by a process that ended, is tried again by the next delivery; so a
crash, or an endpoint that takes a message and does not say so, may have it sent twice, and nothing is lost in
silence. Nothing here is ever raised into a run: what goes wrong comes back as words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol

from portfolio_rebalance.config_notify import Delivery, NoticeKind, Target
from portfolio_rebalance.courier import Message, carry
from portfolio_rebalance.records.notice import LASTING, KeptNotice, Notice
from portfolio_rebalance.redaction import Redactor, known_secrets
from portfolio_rebalance.workspace.ledger import Ledger, read_record, stamp

__all__ = ["Carrier", "deliver", "kept_notices"]

_DEADLINE_SECONDS: Final = 15.0
_CLAIM: Final = timedelta(minutes=1)
"""Longer than any delivery takes: until then a claimed notice is another process's."""
_TRIED_FOR: Final = timedelta(days=7)
_MOST_CHARACTERS: Final = 1_200
"""Of notices told whole in one message; with what is said of the others most services take it."""
_BY_URGENCY: Final[tuple[NoticeKind, ...]] = (
    "needs_operator",
    "halt",
    "unresolved_violation",
    "blocked",
    "reverted",
    "plan_awaiting",
    "unconfirmed_instruction",
    "executed",
    "divergence",
    "stale_data",
    "severe_drift",
    "extreme_correlation",
    "outcome",
    "marginal_improvement",
)


class Carrier(Protocol):
    """Sends messages and says of each what went wrong, as :func:`portfolio_rebalance.courier.carry` does."""

    def __call__(self, messages: Sequence[Message], *, deadline_seconds: float) -> list[str]:
        """One answer for each message, empty where it was delivered."""
        ...


@dataclass(slots=True)
class _Parcel:
    """What one target is sent in one message.

    Attributes:
        problem: Why it was not delivered; empty where it was.
    """

    target: Target
    notices: dict[str, Notice] = field(default_factory=dict)
    problem: str = ""


def deliver(
    root: Path,
    notices: Sequence[Notice],
    *,
    targets: Sequence[Target],
    environment: Mapping[str, str],
    now: datetime,
    carrier: Carrier = carry,
    deadline_seconds: float = _DEADLINE_SECONDS,
) -> tuple[str, ...]:
    """Tell the targets what they were not told yet, each in one message, and what failed before.

    Args:
        root: The workspace folder.
        notices: What there is to tell now.
        targets: As configured.
        environment: Holds the targets' addresses, and the credentials that no notice may carry.
        now: The machine's time.
        carrier: Who carries the messages.
        deadline_seconds: All targets together may take so long; whoever has not answered then is given up.

    Returns:
        Warnings: what could not be delivered, and why. Nothing is raised.
    """
    try:
        redactor = _redactor(targets, environment)
        told = [_redacted(notice, redactor) for notice in notices]
        with Ledger.open(root) as ledger:
            parcels = _claimed(ledger, told, targets=targets, now=now)
        if not parcels:
            return ()
        _send_all(parcels, environment=environment, carrier=carrier, deadline_seconds=deadline_seconds)
        with Ledger.open(root) as ledger:
            _settle(ledger, parcels, now=now)
    except Exception as error:  # whatever it is, a run must not end for it
        return (f"notifications failed ({type(error).__name__}): what was not sent is tried again",)
    return tuple(
        f"{parcel.target.name} was not notified: {parcel.problem}; it is tried again"
        for parcel in parcels
        if parcel.problem
    )


def kept_notices(root: Path, *, since: datetime) -> tuple[KeptNotice, ...]:
    """Notices that nobody was sent, silent or failed, newest first.

    Args:
        root: The workspace folder.
        since: Older ones are left out.

    Raises:
        LedgerError: What is stored cannot be read.
    """
    with Ledger.read(root) as ledger:
        if ledger is None:
            return ()
        rows = ledger.rows("SELECT content, key, state FROM notices WHERE state IN ('silent', 'failed')")
    found = [
        KeptNotice(target=_target_of(str(key)), state=_state(state), notice=_notice(content, key))
        for content, key, state in rows
    ]
    recent = (one for one in found if one.notice.at >= since)
    return tuple(sorted(recent, key=lambda one: (one.notice.at, one.target, one.notice.key), reverse=True))


# The ledger: claim first, settle afterwards. A row's key is the target's name and the notice's key. `at` of a
# failed one is the instant from which it may be tried again: a claim sets it a minute ahead.


def _claimed(
    ledger: Ledger, notices: Sequence[Notice], *, targets: Sequence[Target], now: datetime
) -> list[_Parcel]:
    """What is ours to send now, by target, in one transaction."""
    parcels = {target.name: _Parcel(target) for target in targets}
    with ledger.transaction() as connection:
        for target in targets:
            for notice in notices:
                mode = _mode(target, notice)
                if mode == "off":
                    continue
                added = connection.execute(
                    "INSERT INTO notices (key, at, state, content) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (key) DO NOTHING",
                    (
                        key := f"{target.name}/{notice.key}",
                        stamp(now + _CLAIM),
                        "silent" if mode == "silent" else "failed",
                        notice.model_dump_json().encode(),
                    ),
                )
                if added.rowcount and mode == "on":
                    parcels[target.name].notices[key] = notice
        failed = connection.execute(
            "SELECT key, content FROM notices WHERE state = 'failed' AND at BETWEEN ? AND ? ORDER BY rowid",
            (stamp(now - _TRIED_FOR), stamp(now)),
        ).fetchall()
        for key, content in failed:
            parcel, notice = parcels.get(_target_of(key)), _notice(content, key)
            if (
                parcel is None
                or _mode(parcel.target, notice) != "on"
                or not _is_news(notice, connection, now=now)
            ):
                continue
            connection.execute("UPDATE notices SET at = ? WHERE key = ?", (stamp(now + _CLAIM), key))
            parcel.notices[key] = notice
    return [parcel for parcel in parcels.values() if parcel.notices]


def _settle(ledger: Ledger, parcels: Sequence[_Parcel], *, now: datetime) -> None:
    """Mark as sent what was; whatever was not may be tried again at once."""
    with ledger.transaction() as connection:
        for parcel in parcels:
            state = "failed" if parcel.problem else "sent"
            for key in parcel.notices:
                connection.execute(
                    "UPDATE notices SET state = ?, at = ? WHERE key = ?", (state, stamp(now), key)
                )


def _mode(target: Target, notice: Notice) -> Delivery:
    mode: Delivery = getattr(target.events, notice.kind)
    return mode


def _is_news(notice: Notice, connection: sqlite3.Connection, *, now: datetime) -> bool:
    """An event stays news for a week; a condition that lasts has a notice of its own each day.

    A plan awaits a person only as long as nothing came of it, and no later one took its place.
    """
    if notice.kind in LASTING:
        return notice.at.date() == now.date()
    if notice.kind == "plan_awaiting":
        newest = connection.execute(
            "SELECT plan_id FROM plans WHERE expires_at > ? AND rowid = (SELECT max(rowid) FROM plans)"
            " AND plan_id NOT IN (SELECT plan_id FROM executions)"
            " AND plan_id NOT IN (SELECT plan_id FROM rejections)",
            (stamp(now),),
        ).fetchone()
        return newest is not None and newest[0] == notice.plan_id
    return now - notice.at < _TRIED_FOR


def _target_of(key: str) -> str:
    return key.partition("/")[0]


def _notice(content: object, key: object) -> Notice:
    return read_record(Notice, content, row=f"notices {key}")


def _state(text: object) -> Literal["failed", "silent"]:
    return "silent" if text == "silent" else "failed"


# Sending.


def _send_all(
    parcels: Sequence[_Parcel], *, environment: Mapping[str, str], carrier: Carrier, deadline_seconds: float
) -> None:
    """Send every parcel whose address is known; what goes wrong is written on it."""
    addressed: list[tuple[_Parcel, Message]] = []
    for parcel in parcels:
        if address := environment.get(parcel.target.url_env, "").strip():
            addressed.append((parcel, (address, *_message(parcel))))
        else:
            parcel.problem = f"the environment variable {parcel.target.url_env} is not set"
    if not addressed:
        return
    try:
        problems = carrier([message for _, message in addressed], deadline_seconds=deadline_seconds)
    except Exception as error:  # named by its class: its words may hold an address
        problems = [f"sending failed ({type(error).__name__})"] * len(addressed)
    for (parcel, _), problem in zip(addressed, problems, strict=True):
        parcel.problem = problem


def _message(parcel: _Parcel) -> tuple[str, str]:
    """One notice as it is; several under one heading, each with its command."""
    notices = list(parcel.notices.values())
    if len(notices) == 1:
        return notices[0].title, f"{notices[0].text}\n\n{notices[0].command}"
    parts = [f"{notice.title}\n{notice.text}\n{notice.command}" for notice in notices]
    if sum(map(len, parts)) > _MOST_CHARACTERS:
        parts = list(_abridged(notices))
    return f"Portfolio rebalance: {len(notices)} notices", "\n\n".join(parts)


def _abridged(notices: Sequence[Notice]) -> Iterator[str]:
    """The urgent ones whole, while there is room; of the others how many, and a command of each kind.

    Services refuse a message that is too long, and it would be refused again with all that comes later.
    """
    rest: dict[str, list[Notice]] = {}
    room = _MOST_CHARACTERS
    for notice in sorted(notices, key=lambda one: _BY_URGENCY.index(one.kind)):
        part = f"{notice.title}\n{notice.text}\n{notice.command}"
        room -= len(part)
        if room >= 0:
            yield part
        else:
            rest.setdefault(notice.kind, []).append(notice)
    for kind, several in rest.items():
        yield f"{len(several)} more: {kind.replace('_', ' ')}\n{several[0].command}"


# What no notice carries.


def _redactor(targets: Sequence[Target], environment: Mapping[str, str]) -> Redactor:
    """Takes out every credential of the environment, and the targets' addresses."""
    secrets = known_secrets(environment)
    for target in targets:
        if address := environment.get(target.url_env, "").strip():
            secrets[target.url_env] = address
    return Redactor(secrets)


def _redacted(notice: Notice, redactor: Redactor) -> Notice:
    return notice.model_copy(
        update={name: redactor.redact(getattr(notice, name)) for name in ("title", "text", "command")}
    )
