"""The redactor: known values in any spelling first, patterns second, until nothing more is found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar, cast

from portfolio_rebalance.redaction.needles import Found, Needles
from portfolio_rebalance.redaction.patterns import PLACEHOLDER, is_credential_name, without_credentials
from portfolio_rebalance.redaction.views import View, decoded, root, unescaped, unescaped_apart

__all__ = ["Redactor"]

_T = TypeVar("_T")

# base64 in base64 in percent, and the innermost spelling is found as it is: four layers deep in all.
_MOST_DECODED: Final = 2
_MOST_UNESCAPED: Final = 3
_MOST_PASSES: Final = 8
_DEEPEST: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOO_DEEP: Final = "[too deep to redact]"


class Redactor:
    """Takes credentials out of what leaves the process; may be used from several threads at once.

    Redacting twice changes nothing more, no text raises, and the time is linear in the length of the text.

    Args:
        secrets: Names, which are shown in place of their values, to known values. Values below eight
            characters are not looked for.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles = Needles(secrets)
        self._labels = {name: self._label(name) for name in secrets}
        self._own = re.compile("|".join(map(re.escape, {PLACEHOLDER, *self._labels.values()})))

    def redact(self, text: str) -> str:
        """The text without known values (``[secret ANTHROPIC_API_KEY]``) and patterns (``[secret]``).

        Give it whole texts: of a value that is spread over two calls neither sees enough.
        """
        for _ in range(_MOST_PASSES):
            done = without_credentials(self._without_known(text))
            if done == text:
                return text
            text = done  # what was taken out may have hidden something: look again
        return PLACEHOLDER

    def redact_json(self, value: _T) -> _T:
        """A copy of a JSON value with every string redacted, keys too, and every credential's value.

        A value under a name such as ``authorization`` or ``api_key`` is replaced whatever it looks like; a
        number only if it spells a known value. Two keys that become equal are numbered. What is nested deeper
        than 64 is replaced.

        Args:
            value: Mappings, lists, strings, numbers, booleans, None; anything else counts as its text.
        """
        return cast(_T, self._json(value, 0))

    def _json(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.redact(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            text = str(value)
            shown = self._without_known(text)
            return value if shown == text else shown
        if depth >= _DEEPEST:
            return _TOO_DEEP
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, list | tuple):
            return [self._json(item, depth + 1) for item in value]
        return self.redact(str(value))

    def _object(self, value: Mapping[object, object], depth: int) -> dict[str, object]:
        done: dict[str, object] = {}
        seen: dict[str, int] = {}
        for key, item in value.items():
            name = self.redact(str(key))
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name = f"{name} ({seen[name]})"
            redacted = self._json(item, depth + 1)
            if isinstance(redacted, str) and redacted and is_credential_name(str(key)):
                redacted = redacted if self._own.search(redacted) else PLACEHOLDER
            done[name] = redacted
        return done

    def _label(self, name: str) -> str:
        """What is shown for a value: its name, unless the name is itself a secret or no plain word."""
        if not _NAME.fullmatch(name) or any(self._found(root(name), 0)):
            return PLACEHOLDER
        return f"[secret {name}]"

    def _without_known(self, text: str) -> str:
        if not self._needles:
            return text
        parts: list[str] = []
        done = 0
        for own in self._own.finditer(text):  # what was put there before is no secret, and stays
            parts += (self._piece(text[done : own.start()]), own[0])
            done = own.end()
        parts.append(self._piece(text[done:]))
        return "".join(parts)

    def _piece(self, text: str) -> str:
        parts: list[str] = []
        done = 0
        for found in _merged(sorted(self._found(root(text), 0))):
            parts += (text[done : found.start], self._labels[found.name])
            done = found.end
        parts.append(text[done:])
        return "".join(parts)

    def _found(self, view: View, depth: int) -> Iterator[Found]:
        """Pieces of known values in a text, in the text without its escapes, and in what these encode."""
        reading: View | None = view
        for _ in range(_MOST_UNESCAPED + 1):
            if reading is None:
                break
            yield from self._needles.find(reading)
            if depth < _MOST_DECODED:
                for inner in decoded(reading):
                    if self._needles.fits(inner.text):
                        yield from self._found(inner, depth + 1)
            reading = unescaped(reading)
        if depth == 0:
            for reading in unescaped_apart(view):
                yield from self._needles.find(reading)


def _merged(found: list[Found]) -> Iterator[Found]:
    """Overlapping pieces as one, under the first one's name."""
    last: Found | None = None
    for one in found:
        if last is None or one.start >= last.end:
            if last is not None:
                yield last
            last = one
        elif one.end > last.end:
            last = last._replace(end=one.end)
    if last is not None:
        yield last
