"""What holds for every redacted text, and texts to try it on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping

import canaries

from portfolio_rebalance.redaction import Redactor

LINE_BREAKS = ("\n", "\r\n", "\n    ", "\n> ", "\n│ ")
AROUND = (
    "",
    " ",
    "see: ",
    '{"authorization": "Bearer ',
    "x",
    "=",
    "%",
    "%2",
    "\\",
    "&",
    "&#",
    "0",
    "0x",
    "-",
    "/",
    "QUJD",
    "deadbee",
    "[secret]",
    "\ud800",
    "\u200b",
    "é",
    "\x00",
)

# Repeated to a hundred kilobytes.
HOSTILE = {
    "backslashes": "\\",
    "nested percent": "25%",
    "nested entities": "&amp;",
    "base64 of base64": "QUFB",
    "hex": "41",
    "base32 and base64": "a2",
    "key marks": "sk-",
    "key names": "token",
    "assignments": "password=",
    "quotes": "\"'",
    "headers": "authorization: bearer ",
    "URLs": "://a:b",
    "JWT": "eyJaaaaaaaaa.",
    "cut keys": "-----BEGIN PRIVATE KEY-----",
    "colours": "\x1b[31m",
    "placeholders": "[secret]",
    "beginnings of a key": canaries.SECRETS["ANTHROPIC_API_KEY"][:15],
    "keys": f"{canaries.SECRETS['ANTHROPIC_API_KEY']} ",
    "lone surrogates": "\ud800",
    "line breaks": "\n",
}


def check(redactor: Redactor, text: str, secrets: Mapping[str, str]) -> str:
    """Redacted text: nothing is left, and a second time changes nothing."""
    done = redactor.redact(text)
    left = canaries.hits(done, secrets)
    assert left == [], (text, done, left)
    assert redactor.redact(done) == done
    return done


def check_time(redactor: Redactor, hostile: str) -> None:
    """A hundred kilobytes take moments. Measured: below 0.6 s; a quadratic expression takes minutes."""
    text = hostile * (100_000 // len(hostile))
    start = time.process_time()
    done = redactor.redact(text)
    assert time.process_time() - start < 10
    assert canaries.SECRETS["ANTHROPIC_API_KEY"] not in done


def planted(secret: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """A secret in every encoding and setting: (encoding and setting, text)."""
    for encoding, spell in canaries.ENCODINGS.items():
        before, after = rng.choice(AROUND), rng.choice(AROUND)
        yield f"{encoding}, in text", f"{before}{spell(secret)}{after}"

        left = canaries.make(rng, length=rng.randrange(9))
        right = canaries.make(rng, length=rng.randrange(40))
        yield f"{encoding}, in a longer blob", f"see {spell(f'{left}{secret}{right}')} there"

        spelled = spell(secret)
        cut = rng.randrange(1, len(spelled))
        yield f"{encoding}, over a line break", f"{spelled[:cut]}{rng.choice(LINE_BREAKS)}{spelled[cut:]}"
