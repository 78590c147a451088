"""The command line at work: on a terminal where somebody types, off one, several at once.

`Terminals` starts this file as a program that is warm and has one thread; it forks a process for each command,
because a test process with threads should not. A command is `main` itself, in a process of its own:

- its user's home is one of the test's, as the system's user database names it; the real one is never looked at;
- no address is looked up and nothing is connected to: what it asked for is told;
- its machine's time can be fixed, and its live exchange replaced by a venue that would fill any order.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, NoReturn, Self

REPOSITORY = Path(__file__).parents[2]
EOF = "\x04"
INTERRUPT = "\x03"
NOT_ENDED = -999
"""Exit code of a command that had to be killed because it did not end."""

_PROMPT = re.compile(
    rb"(anything else to stop|Passphrase for live money|passphrase until now|New passphrase|The same again): $"
)
_MOST_SECONDS = 120.0
_SIZE = struct.pack("HHHH", 50, 110, 0, 0)

Place = Literal["terminal", "elsewhere", "pipe"]
"""``terminal``: messages and input are its controlling terminal. ``elsewhere``: they are a terminal, and it is
not the one that controls the process. ``pipe``: there is no terminal at all."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One call of the command line.

    Attributes:
        words: After the program's name.
        at: What it is connected to.
        answers: Typed at one prompt each, with Enter after them unless they are a control character; at
            every further prompt the input ends.
        piped: Standard input, where that is a pipe.
        env: Variables beside our own.
        home: The user's home; an empty one where None.
        now: The machine's time, as ISO text; the real one where None.
        money: Folder of the live venue that stands in for the exchange; None for the exchange itself.
        cut_at: That venue fills the order of this number, and the process is interrupted before it hears so.
        after_ms: Waits so long when everybody starts.
    """

    words: tuple[str, ...]
    at: Place = "pipe"
    answers: tuple[str, ...] = ()
    piped: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    home: str | None = None
    now: str | None = None
    money: str | None = None
    cut_at: int = 0
    after_ms: float = 0


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of a command.

    Attributes:
        exit_code: Minus the signal's number where one ended it.
        out: Standard output.
        shown: What the terminal showed, or standard error.
        prompts: What was asked, in order.
        hosts: Host names and addresses that it tried to reach.
    """

    exit_code: int
    out: str
    shown: str
    prompts: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object that standard output must be."""
        assert self.out.endswith("\n"), self
        assert "\n" not in self.out[:-1], self
        read: dict[str, Any] = json.loads(self.out)
        assert read["exit_code"] == self.exit_code, self
        return read

    @property
    def text(self) -> str:
        """All that could be read."""
        return self.out + self.shown


class Terminals:
    """Runs commands; use it as a context manager.

    Args:
        preload: Modules that its processes shall find loaded.
    """

    def __init__(self, *preload: str) -> None:
        paths = [str(REPOSITORY), str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *preload],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "OPENBLAS_NUM_THREADS": "1",
                "TERM": "xterm-256color",
                "NO_COLOR": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        assert self._process.wait(timeout=60) == 0

    def run(self, *words: str, **how: Any) -> Ran:
        """One command; see :class:`Command` for what may be said of it."""
        return self.together(Command(words=words, **how))[0]

    def together(self, *commands: Command) -> list[Ran]:
        """Several commands that start at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(command) for command in commands]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the program that runs commands has ended"
        return [
            Ran(**{**one, "prompts": tuple(one["prompts"]), "hosts": tuple(one["hosts"])})
            for one in json.loads(answer)
        ]


# --- the program -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Running:
    """A command at work.

    Attributes:
        master: Our end of its terminal; -1 where it has none, or has closed it.
        told: What the terminal showed so far.
        asked: Up to where of that prompts were looked for.
    """

    command: Command
    pid: int
    master: int
    files: dict[str, IO[bytes]]
    told: bytearray = field(default_factory=bytearray)
    asked: int = 0
    prompts: list[str] = field(default_factory=list)
    status: int | None = None


def main() -> None:
    """Serve requests, one a line, until there are no more."""
    for name in ("portfolio_rebalance.cli.verbs", "portfolio_rebalance.run.operator", *sys.argv[1:]):
        __import__(name)
    for name in ("skill", "reporting.terminal", "execution.paper", "execution.faults", "run.session"):
        __import__(f"portfolio_rebalance.{name}")
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for line in requests:
            ran = _together([Command(**one) for one in json.loads(line)], folder=Path(folder))
            answers.write(json.dumps([asdict(one) for one in ran]) + "\n")
            answers.flush()


def _together(commands: list[Command], *, folder: Path) -> list[Ran]:
    ready, go = os.pipe()
    running = [
        _started(command, folder=folder, number=number, ready=ready, go=go)
        for number, command in enumerate(commands)
    ]
    os.close(ready)
    os.close(go)  # all of them read the end of this pipe now
    deadline = time.monotonic() + _MOST_SECONDS
    while any(one.status is None for one in running):
        for one in running:
            if one.status is None and time.monotonic() > deadline:
                os.kill(one.pid, signal.SIGKILL)
            _listen(one)
            if one.status is None and os.waitpid(one.pid, os.WNOHANG | os.WNOWAIT if False else os.WNOHANG) != (0, 0):
                one.status = 0
    return [_ended(one) for one in running]
