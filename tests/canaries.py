"""Canary secrets: planted where real ones would stand, then looked for in all that was written or printed.

Nothing of the product is used here: another search, by other means, so that the two share no blind spot.
``SECRETS`` are set as environment variables; ``ENCODINGS`` spells one in every way that counts;
:func:`hits` and :func:`hits_in_folder` find what is left of one, sixteen characters or more.
"""

from __future__ import annotations

import base64
import codecs
import html
import json
import random
import re
import shutil
import sqlite3
import string
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits


def make(rng: random.Random, *, prefix: str = "", length: int = 40, alphabet: str = _LETTERS) -> str:
    """A secret that nothing else contains by chance."""
    return prefix + "".join(rng.choice(alphabet) for _ in range(length))


def made(rng: random.Random) -> dict[str, str]:
    """One secret of every shape that we know of: a model's key, an exchange's, a gateway's, a person's."""
    return {
        "ANTHROPIC_API_KEY": make(rng, prefix="sk-ant-api03-", length=95, alphabet=_LETTERS + "-_"),
        "ANTHROPIC_AUTH_TOKEN": make(rng, length=43, alphabet=_LETTERS + "-_"),
        "PORTFOLIO_REBALANCE_API_KEY": make(rng, length=64),
        "PORTFOLIO_REBALANCE_API_SECRET": make(rng, length=64, alphabet="0123456789abcdef"),
        "KRAKEN_SECRET": base64.b64encode(rng.randbytes(64)).decode(),
        "GATEWAY_PASSWORD": make(rng, length=20, alphabet=_LETTERS + "!#$%&*+-./:;<=>?@^_~"),
        "SHORT_PASSPHRASE": make(rng, length=10),
    }


SECRETS: Final[Mapping[str, str]] = made(random.Random("canaries"))
"""Names of environment variables to their values, the same on every machine."""


def _utf8(secret: str) -> bytes:
    return secret.encode()


def _json_escapes(secret: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(secret.encode("utf-16-le")).cast("H"))


ENCODINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "raw": lambda secret: secret,
    "upper case": str.upper,
    "base64": lambda secret: base64.b64encode(_utf8(secret)).decode(),
    "base64, offset 1": lambda secret: base64.b64encode(b"k" + _utf8(secret) + b";").decode(),
    "base64, offset 2": lambda secret: base64.b64encode(b"k=" + _utf8(secret) + b"; x").decode(),
    "base64, no padding": lambda secret: base64.b64encode(_utf8(secret)).decode().rstrip("="),
    "base64, URL-safe": lambda secret: base64.urlsafe_b64encode(_utf8(secret)).decode(),
    "hex": lambda secret: _utf8(secret).hex(),
    "hex, upper case": lambda secret: _utf8(secret).hex().upper(),
    "hex, colons": lambda secret: _utf8(secret).hex(":"),
    "hex, spaces": lambda secret: _utf8(secret).hex(" "),
    "hex, 0x": lambda secret: ", ".join(f"0x{byte:02x}" for byte in _utf8(secret)),
    "base32": lambda secret: base64.b32encode(_utf8(secret)).decode(),
    "percent": lambda secret: "".join(f"%{byte:02X}" for byte in _utf8(secret)),
    "percent, reserved only": lambda secret: urllib.parse.quote(secret, safe=""),
    "percent twice": lambda secret: urllib.parse.quote("".join(f"%{byte:02x}" for byte in _utf8(secret))),
    "JSON escapes": _json_escapes,
    "JSON escapes, twice": lambda secret: _json_escapes(secret).replace("\\", "\\\\"),
    "hex escapes": lambda secret: "".join(f"\\x{byte:02x}" for byte in _utf8(secret)),
    "octal escapes": lambda secret: "".join(f"\\{byte:03o}" for byte in _utf8(secret)),
    "HTML decimal": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "HTML hex": lambda secret: "".join(f"&#x{ord(char):X};" for char in secret),
    "HTML named": html.escape,
    "reversed": lambda secret: secret[::-1],
    "ROT13": lambda secret: codecs.encode(secret, "rot13"),
    "UTF-16": lambda secret: secret.encode("utf-16-le").decode("latin-1"),
    "UTF-32": lambda secret: secret.encode("utf-32-be").decode("latin-1"),
    "spaced": " ".join,
    "hyphened": "-".join,
    "zero-width": "\u200b".join,
    "one character a line": "\n".join,
    "decimal bytes": lambda secret: json.dumps(list(_utf8(secret))),
    "base64 of base64": lambda secret: base64.b64encode(base64.b64encode(_utf8(secret))).decode(),
    "base64 of hex": lambda secret: base64.b64encode(_utf8(secret).hex().encode()).decode(),
    "base64 of UTF-16": lambda secret: base64.b64encode(secret.encode("utf-16")).decode(),
    "base64 of reversed": lambda secret: base64.b64encode(_utf8(secret[::-1])).decode(),
    "hex of base64": lambda secret: base64.b64encode(_utf8(secret)).hex(),
    "base32 of base64": lambda secret: base64.b32encode(base64.b64encode(_utf8(secret))).decode(),
    "percent of base64": lambda secret: urllib.parse.quote(base64.b64encode(_utf8(secret)), safe=""),
    "base64 of percent": lambda secret: base64.b64encode(
        "".join(f"%{byte:02x}" for byte in _utf8(secret)).encode()
    ).decode(),
    "base64 of base64 of base64": lambda secret: base64.b64encode(
        base64.b64encode(base64.b64encode(_utf8(secret)))
    ).decode(),
}
"""Names of encodings to what spells a secret in them. Eight are the bar; a peer's imagination has no end."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What is left of a secret.

    Attributes:
        name: Whose.
        where: A file, a cell of a table, or empty for text that was handed in.
        how: In which reading of it.
    """

    name: str
    where: str
    how: str


def hits(found: str | bytes, secrets: Mapping[str, str] = SECRETS, *, where: str = "") -> list[Hit]:
    """What is left of any secret in text or bytes: sixteen characters of it, or all where it has fewer."""
    text = found.decode("latin-1") if isinstance(found, bytes) else found
    parts = _parts(secrets)
    told: dict[tuple[str, str], Hit] = {}
    for how, reading in _readings(text, depth=0):
        for spelling, view in _views(reading):
            for size, pieces in parts.items():
                for at in range(len(view) - size + 1):
                    name = pieces.get(view[at : at + size])
                    if name is not None:
                        told.setdefault((name, how), Hit(name, where, f"{how} {spelling}".strip()))
    return list(told.values())


def hits_in_folder(folder: Path, secrets: Mapping[str, str] = SECRETS) -> list[Hit]:
    """What is left of any secret in any file below a folder: names, bytes, and every cell of SQLite files."""
    found: list[Hit] = []
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        found += hits(where, secrets, where=f"the name of {where}")
        if path.is_symlink():
            found += hits(str(path.readlink()), secrets, where=where)
        elif path.is_file():
            data = path.read_bytes()
            found += hits(data, secrets, where=where)
            if data.startswith(b"SQLite format 3\0"):
                cells = "\n".join(_cells(path))
                found += hits(cells, secrets, where=f"{where}, cells")
    return found


def _cells(path: Path) -> Iterator[str]:
    """Every cell as text, also those in the write-ahead log alone. A copy is opened: opening may write."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (path, path.with_name(f"{path.name}-wal")):
            if part.exists():
                shutil.copyfile(part, Path(folder) / part.name)
        connection = sqlite3.connect(Path(folder) / path.name)
        try:
            master = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in master:
                quoted = table.replace('"', '""')
                for row in connection.execute(f'SELECT * FROM "{quoted}"'):
                    for cell in row:
                        yield cell.decode("latin-1") if isinstance(cell, bytes) else str(cell)
        finally:
            connection.close()


# --- how it is looked for --------------------------------------------------------------------------------

_LEAST: Final = 16
_DEEPEST: Final = 3
_RUNS: Final[Mapping[str, re.Pattern[str]]] = {
    "base64": re.compile(r"(?:[A-Za-z0-9+/_-][\s\x00]*){12,}"),
    "hex": re.compile(r"(?:[0-9A-Fa-f][\s:,-]*){20,}"),
    "base32": re.compile(r"(?:[A-Z2-7][\s]*){16,}"),
}


def _parts(secrets: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """Pieces of secrets in their plain spellings, by size, in small letters, with and without separators."""
    parts: dict[int, dict[str, str]] = {}
    for name, secret in secrets.items():
        assert len(secret) >= 8, "a shorter one is found by chance"
        for spelling in (secret, secret[::-1], codecs.encode(secret, "rot13")):
            for plain in (spelling.lower(), _alphanumeric(spelling), re.sub(r"\s", "", spelling.lower())):
                size = min(_LEAST, len(plain))
                if size >= 8:
                    for at in range(len(plain) - size + 1):
                        parts.setdefault(size, {}).setdefault(plain[at : at + size], name)
    return parts


def _views(text: str) -> Iterator[tuple[str, str]]:
    small = text.lower()
    yield "", small
    yield "without blanks", re.sub(r"[\s\x00\u200b-\u200f\u2060\ufeff]", "", small)
    yield "without separators", _alphanumeric(text)


def _alphanumeric(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _readings(text: str, *, depth: int) -> Iterator[tuple[str, str]]:
    """The text, and what it says once escapes and encodings are undone, also one in the other."""
    yield "as it is", text
    if depth == _DEEPEST:
        return
    for how, undo in (
        ("JSON", _unjson),
        ("percent", _unpercent),
        ("HTML", html.unescape),
        ("numbers", _unlist),
    ):
        undone = undo(text)
        if undone != text:
            for inner, reading in _readings(undone, depth=depth + 1):
                yield f"{how}, {inner}", reading
    for how, run in _RUNS.items():
        for match in run.finditer(text):
            digits = re.sub(r"[^A-Za-z0-9+/_-]" if how == "base64" else "[^A-Za-z0-9]", "", match[0])
            for data in _decodings(how, digits):
                if re.search(rb"(?:[\x20-\x7e]\x00{0,3}){8}", data):
                    for inner, reading in _readings(data.decode("latin-1"), depth=depth + 1):
                        yield f"{how}, {inner}", reading


def _decodings(how: str, digits: str) -> Iterator[bytes]:
    """The bytes of a run of digits, from every digit at which a group could begin."""
    if how == "hex":
        for start in range(2):
            chunk = digits[start:]
            yield bytes.fromhex(chunk[: len(chunk) // 2 * 2])
    elif how == "base64":
        for start in range(4):
            chunk = digits[start:].replace("-", "+").replace("_", "/")
            yield base64.b64decode(chunk[: len(chunk) // 4 * 4])
            if len(chunk) % 4 > 1:
                yield base64.b64decode(chunk + "=" * (-len(chunk) % 4))
    else:
        for start in range(8):
            chunk = digits[start:]
            yield base64.b32decode(chunk[: len(chunk) // 8 * 8])
            if len(chunk) % 8 in (2, 4, 5, 7):
                yield base64.b32decode(chunk + "=" * (-len(chunk) % 8))


def _unjson(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        body = match[1]
        if body[0] in "ux":
            return chr(int(body[1:], 16))
        return chr(int(body, 8)) if body[0].isdigit() else " "

    return re.sub(r"\\+(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3}|[nrt\"/])", meant, text)


def _unpercent(text: str) -> str:
    return (
        urllib.parse.unquote_to_bytes(text.encode("utf-8", "replace")).decode("latin-1")
        if "%" in text
        else text
    )


def _unlist(text: str) -> str:
    """Lists of numbers, decimal or hex, as the characters of these numbers."""

    def meant(match: re.Match[str]) -> str:
        numbers = [int(part, 0) for part in re.findall("0x[0-9a-f]+|[1-9][0-9]*", match[0])]
        return "".join(map(chr, numbers)) if all(number < 256 for number in numbers) else match[0]

    return re.sub(
        r"(?:(?:0x[0-9a-f]{2}|[1-9][0-9]{1,2})\s*,\s*){7,}(?:0x[0-9a-f]{2}|[1-9][0-9]{1,2})", meant, text
    )
