"""Credentials that nobody told us of, by their looks. Precise rather than greedy: ordinary text stays.

Ids, digests, instants, amounts and paths are no credentials here, unless the name before them says so
(``api_secret=``). Every expression either begins where no other match of it could have begun, or is bounded:
no text makes it slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

__all__ = ["PLACEHOLDER", "is_credential_name", "without_credentials"]

PLACEHOLDER: Final = "[secret]"

_Judge = Callable[[str], bool]


def _always(_value: str) -> bool:
    return True


def _no_word(value: str) -> bool:
    """Whether it has a digit, an upper-case letter after a lower-case one, or is too long for a word."""
    return len(value) >= _LONG or re.search("[0-9]|[a-z][A-Z]", value) is not None


def _mixed(value: str) -> bool:
    """Letters and digits, or upper among lower case time and again; and no path, URL, number or instant."""
    if _ORDINARY.match(value):
        return False
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed or len(re.findall("[a-z][A-Z]", value)) >= _MOST_HUMPS


def _random(value: str) -> bool:
    """Lower case, upper case and digits alternate as they do in no word; and none of our ids and digests."""
    if _OURS.match(value):
        return False
    kinds = "".join(
        "d" if char.isdigit() else "u" if char.isupper() else "l" for char in value if char.isalnum()
    )
    changes = sum(one != other for one, other in pairwise(kinds))
    return _mixed(value) and changes >= len(value) / 5


_LONG: Final = 20
_MOST_HUMPS: Final = 4
_ORDINARY: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}T[0-9]{6}|[~.]{0,2}/|[A-Za-z]+://|\$|[+-]?[0-9.,_]+[a-zA-Z%]{0,4}$"
)
_OURS: Final = re.compile(
    r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
    r"|(?:sha256|run|plan|draft|STR)[-:]"
)

# What may stand between a name and its value: quotes, also escaped ones; = or :, or a comma of a pair.
_IS: Final = r"""(?:[\\"']{0,8}\s{0,8}(?:=>|[:=])|["']\s{0,8},)\s{0,8}b?[\\"'(]{0,8}"""
_NAMES: Final = (
    r"(?:api[-_ ]?key|apikey|secret|token|password|passwd|passphrase|pwd|private[-_]?key|access[-_]?key)"
)
_VALUE: Final = r"""[^\s"'\\,;&<>()\[\]{}=|]"""

_PATTERNS: Final[tuple[tuple[re.Pattern[str], _Judge], ...]] = tuple(
    (re.compile(pattern), judge)
    for pattern, judge in (
        # A private key up to whatever closes it; a cut-off one up to the end or a quote.
        (
            r"(?P<value>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[^\-\"']*(?:-(?!----)[^\-\"']*)*"
            r"(?:-----(?:END [^\-\"']{0,80}-{0,5}|E?N?D?\s*\Z))?)",
            _always,
        ),
        (r"://(?P<value>[^\s/?#@\"'<>\[\]:]{0,256}:[^\s/?#\"'<>\[\]]{1,256})@", _always),
        (r"://(?P<value>[^\s/?#@\"'<>\[\]:]{16,256})@", _mixed),
        # Makers' own marks
        (r"(?<![A-Za-z0-9])(?P<value>sk-ant-[A-Za-z0-9_-]{16,})", _mixed),
        (r"(?<![A-Za-z0-9])(?P<value>sk-[A-Za-z0-9_-]{20,})", _mixed),
        (r"(?<![A-Za-z0-9])(?P<value>[sr]k_(?:live|test)_[A-Za-z0-9]{16,})", _always),
        (r"(?<![A-Za-z0-9])(?P<value>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])", _always),
        (r"(?<![A-Za-z0-9])(?P<value>gh[pousr]_[A-Za-z0-9]{20,})", _always),
        (r"(?<![A-Za-z0-9])(?P<value>github_pat_[A-Za-z0-9_]{20,})", _mixed),
        (r"(?<![A-Za-z0-9])(?P<value>(?:glpat|npm|hf)[-_][A-Za-z0-9_-]{20,})", _mixed),
        (r"(?<![A-Za-z0-9])(?P<value>(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,})", _mixed),
        (r"(?<![A-Za-z0-9])(?P<value>AIza[A-Za-z0-9_-]{30,})", _always),
        (r"(?<![A-Za-z0-9])(?P<value>ya29\.[A-Za-z0-9_-]{20,})", _always),
        (
            r"(?<![A-Za-z0-9_-])(?P<value>eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?)",
            _always,
        ),
        (r"(?<![0-9])(?P<value>[0-9]{8,10}:[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", _mixed),
        # Headers
        (r"(?i)(?<![a-z])bearer\s{1,8}(?P<value>[A-Za-z0-9._~+/-]{12,}={0,2})", _no_word),
        (rf"(?i)authorization{_IS}(?:basic\s{{1,8}})(?P<value>[A-Za-z0-9+/]{{8,}}={{0,2}})", _no_word),
        (rf"(?i)authorization{_IS}(?:(?:token|apikey)\s{{1,8}})?(?P<value>{_VALUE}{{8,}}={{0,2}})", _mixed),
        (rf"(?i)x-(?:api-key|mbx-apikey){_IS}(?P<value>{_VALUE}{{8,}}={{0,2}})", _no_word),
        (rf"(?i)(?<![a-z])cookie{_IS}(?P<value>[^\s=\"']{{1,128}}=[^\r\n\"'\[]+)", _always),
        # Assignments
        (rf"(?i){_NAMES}(?:s|[_-][a-z0-9_-]{{0,20}})?{_IS}(?P<value>{_VALUE}{{8,}}={{0,2}})", _mixed),
        (rf"(?i)(?<![a-z])key{_IS}(?P<value>{_VALUE}{{16,}}={{0,2}})", _random),
    )
)
_CREDENTIAL_NAME: Final = re.compile(
    r"(?i)(?:proxy-)?authorization|(?:set-)?cookie|(?:x-)?api[-_]?key|x-mbx-apikey|password|passphrase"
    r"|(?:(?:api|client)[-_]?)?secret|private[-_]?key|(?:access|auth|bearer|refresh)[-_]?token"
)


def without_credentials(text: str) -> str:
    """The text with every value that looks like a credential replaced by ``[secret]``."""
    for pattern, judge in _PATTERNS:
        text = pattern.sub(lambda match, judge=judge: _judged(match, judge), text)  # type: ignore[misc]
    return text


def is_credential_name(name: str) -> bool:
    """Whether a JSON key or a header of this name holds a credential and nothing else."""
    return _CREDENTIAL_NAME.fullmatch(name) is not None


def _judged(match: re.Match[str], judge: _Judge) -> str:
    if not judge(match["value"]):
        return match[0]
    start, end = match.span("value")
    return match[0][: start - match.start()] + PLACEHOLDER + match[0][end - match.start() :]
