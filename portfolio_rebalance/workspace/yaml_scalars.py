"""Plain scalars: the few spellings that all YAML readers agree on, else text, else a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from portfolio_rebalance.workspace.yaml_text import Place, shortened

__all__ = ["DATE_LIKE", "DECIMAL", "INTEGER", "THOUSANDS", "plain_value"]

_MAX_INT_DIGITS: Final = 18
_MAX_DECIMAL_CHARACTERS: Final = 40
_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
    **dict.fromkeys(("null", "nan", ".nan", "inf", ".inf", "infinity", ".infinity"), "null"),
}
INTEGER: Final = re.compile("-?(?:0|[1-9][0-9]*)")
DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
# Wider than any one reader: YAML 1.0 took commas, 1.1 underscores, colons and several points, 1.2 takes 1e5.
_NUMBER_LIKE: Final = re.compile(
    r"""[-+]?(?:
        0[xXoObB][0-9a-fA-F_]+
        | [0-9_][0-9_,]*(?::[0-9_]+)*(?:\.[0-9_.]*)?(?:[eE][-+]?[0-9_]+)?
        | \.[0-9_.]*(?:[eE][-+]?[0-9_]+)?
    )""",
    re.VERBOSE,
)
THOUSANDS: Final = re.compile(r"[0-9]{3}(?:\.[0-9]+)?")
"""What follows the comma in ``60,000``."""
_SEPARATED: Final = re.compile(r"[-+]?[0-9]+(?:[_,]+[0-9]+)+(?:\.[0-9_]*)?")
_BY_THOUSANDS: Final = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
DATE_LIKE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[-+0-9:.\sZz]*)?")
_DATE_OR_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?Z)?"
)


def plain_value(text: str, line: int, place: Place) -> str | int | Decimal | bool | None:
    """What an unquoted scalar is: the few spellings that all readers agree on, else text, else a refusal."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] in "+-.0123456789":
        if INTEGER.fullmatch(text):
            if len(text.lstrip("-")) <= _MAX_INT_DIGITS:
                return int(text)
            _refuse_plain(text, f"has more than {_MAX_INT_DIGITS} digits", "a shorter number", line, place)
        if DECIMAL.fullmatch(text):
            if len(text) <= _MAX_DECIMAL_CHARACTERS:
                return Decimal(text)
            _refuse_plain(
                text, f"has more than {_MAX_DECIMAL_CHARACTERS} characters", "a shorter number", line, place
            )
        if _NUMBER_LIKE.fullmatch(text):
            _refuse_plain(
                text,
                "is not the same to all YAML readers",
                _plainly(text),
                line,
                place,
                may_be_text=not _SEPARATED.fullmatch(text),
            )
        if DATE_LIKE.fullmatch(text) and not _is_date_or_instant(text):
            _refuse_plain(
                text,
                "is not a date or UTC instant that exists",
                _in_utc(text) or "it without quotes in the form 2026-11-23 or 2026-11-23T02:00:00Z",
                line,
                place,
                may_be_text=False,
            )
    word = text.lower().lstrip("+-")
    if word in _WORDS and (len(word) == len(text) or _WORDS[word] == "null"):
        _refuse_plain(text, "is text to some YAML readers and not to others", _WORDS[word], line, place)
    if text in ("=", "<<"):
        _refuse_plain(text, "has a meaning of its own in YAML", "", line, place)
    return text


def _refuse_plain(
    text: str, what: str, instead: str, line: int, place: Place, *, may_be_text: bool = True
) -> NoReturn:
    """Refuse a scalar; quotes are offered only where somebody may have meant text."""
    shown = shortened(text)
    if not may_be_text:
        place.refuse(f"`{shown}` {what}.", line=line, fix=f"Write {instead}.")
    quoted = f'put it in quotes if it is text: "{shown}"'
    place.refuse(
        f"`{shown}` {what}.",
        line=line,
        fix=f"Write {instead}, or {quoted}." if instead else f"{quoted[0].upper()}{quoted[1:]}.",
    )


def _plainly(text: str) -> str:
    """The plain spelling of a number, where there is one that is no guess; else a general word."""
    general = "a plain decimal number"
    if _BY_THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if len(text) > _MAX_DECIMAL_CHARACTERS or "," in text or ":" in text:
        return general
    bare = text.replace("_", "")
    try:
        if bare.lstrip("+-")[:2].lower() in ("0x", "0o", "0b"):
            return str(int(bare, 0))
        number = Decimal(bare)
    except (ValueError, InvalidOperation):
        return general
    if abs(number.adjusted()) > _MAX_INT_DIGITS:
        return general
    plain = format(number, "f")
    return plain if number == number.to_integral_value() or "." in plain else general


def _in_utc(text: str) -> str:
    """The instant that a timestamp with an offset states, as it should be written; nothing without one."""
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):  # the offset leads out of the calendar
        return ""
    if instant.tzinfo is None:
        return ""
    return f"{instant.replace(tzinfo=None).isoformat()}Z, without quotes"


def _is_date_or_instant(text: str) -> bool:
    match = _DATE_OR_INSTANT.fullmatch(text)
    if not match:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True
