"""The command line at work: on a terminal where somebody types, off one, several at once.

`Terminals` starts this file as a program that is warm and has one thread; it forks a process for each
command, because a test process with threads should not. A command is `main` itself, in a process of its own:

- its user's home is one of the test's, as the user database names it; the real one is never looked at;
- no address is looked up and nothing is connected to: what it tried is told;
- its machine's time can be fixed, and its exchange replaced by a venue that fills whatever it is sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from portfolio_rebalance.execution.broker import Order, OrderReport
from portfolio_rebalance.execution.paper import PaperVenue
from portfolio_rebalance.vault import vault_folder

REPOSITORY = Path(__file__).parents[2]
EOF = "\x04"
INTERRUPT = "\x03"
LIVE, TESTNET = "live.db", "testnet.db"
"""Files of the exchange that stands in, in its folder: its real money, and that of its test host."""

_WARM = (
    "portfolio_rebalance.cli.verbs",
    "portfolio_rebalance.execution.venues",
    "portfolio_rebalance.reporting.terminal",
    "portfolio_rebalance.run.operator",
    "portfolio_rebalance.skill",
)
_TELL_THE_TIME = ("cli.acting", "cli.context", "cli.verbs", "skill")
_PROMPT = re.compile(
    rb"(anything else to stop|Passphrase for live money|passphrase until now|New passphrase"
    rb"|The same again): $"
)
_MOST_SECONDS = 120.0
_SIZE = struct.pack("HHHH", 50, 110, 0, 0)

Place = Literal["terminal", "elsewhere", "pipe"]
"""``terminal``: input and messages are the terminal that controls the process. ``elsewhere``: they are
another one. ``pipe``: there is none at all."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One call of the command line.

    Attributes:
        words: After the program's name.
        at: What it is connected to; its standard output is a file.
        answers: Typed at one prompt each, with Enter after them unless they are a control character; at
            every further prompt the input ends.
        piped: Standard input, where that is a pipe.
        env: Variables beside our own.
        home: The user's home; an empty one where None.
        now: The machine's time, as ISO text; the real one where None.
        exchange: Folder of the venue that stands in for the exchange; None for the exchange itself.
        cut_at: That venue takes the order of this number, and the process is interrupted before it hears so.
        after_ms: Waits so long when all start.
    """

    words: tuple[str, ...]
    at: Place = "pipe"
    answers: tuple[str, ...] = ()
    piped: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    home: str | None = None
    now: str | None = None
    exchange: str | None = None
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
        """All that could be read, in one line."""
        return " ".join((self.out + self.shown).split())


class Terminals:
    """Runs commands; a context manager.

    Args:
        preload: Modules that its processes shall find loaded.
    """

    def __init__(self, *preload: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *preload],
            env=process_environment(),
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
        self._process.wait(timeout=60)

    def run(self, *words: str, **how: Any) -> Ran:
        """One command; :class:`Command` says what may be given."""
        return self.together(Command(words=words, **how))[0]

    def together(self, *commands: Command) -> list[Ran]:
        """Several commands that start at once."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        requests.write(json.dumps([asdict(command) for command in commands]) + "\n")
        requests.flush()
        answer = answers.readline()
        assert answer, "the program that runs commands has ended"
        return [
            Ran(**{**one, "prompts": tuple(one["prompts"]), "hosts": tuple(one["hosts"])})
            for one in json.loads(answer)
        ]


def process_environment() -> dict[str, str]:
    """Of a process that is the command line, or runs it."""
    paths = [str(REPOSITORY), str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OPENBLAS_NUM_THREADS": "1",
        "TERM": "xterm-256color",
        "NO_COLOR": "1",
    }


@contextmanager
def real_vault_untouched() -> Iterator[None]:
    """While it lasts, nobody sets, changes or makes room for a passphrase of the user who runs the tests."""

    def found() -> list[tuple[str, int, int]]:
        folder = vault_folder()
        places = [folder, *sorted(folder.rglob("*"))] if os.path.lexists(folder) else []
        return [(str(place), place.lstat().st_mtime_ns, place.lstat().st_size) for place in places]

    before = found()
    yield
    assert found() == before


class Exchange(PaperVenue):
    """A venue that the program takes for an exchange: an order that reaches it has moved money."""

    name = "ccxt:binance"  # type: ignore[misc]
    live = True  # type: ignore[misc]
    cut_at = 0
    received = 0

    def place(self, order: Order) -> OrderReport:
        report = super().place(order)
        self.received += 1
        if self.received == self.cut_at:
            raise KeyboardInterrupt
        return report


class Sandbox(Exchange):
    """Its test host."""

    name = "ccxt:binance:sandbox"  # type: ignore[misc]
    live = False  # type: ignore[misc]


@contextmanager
def exchange(folder: Path, *, now: datetime, file: str = LIVE) -> Iterator[Exchange]:
    """The exchange that stands in; what it holds outlives who opens it."""
    with {LIVE: Exchange, TESTNET: Sandbox}[file].open(
        folder / file,
        now=lambda: now,
        slippage_bps=Decimal(5),
        commission_bps=Decimal(5),
        seed="exchange",
    ) as opened:
        yield opened


# --- the program -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Running:
    """A command at work.

    Attributes:
        terminal: Our end of its terminal; -1 where it has none, or it was closed.
        told: What the terminal showed.
        answered: So much of that was looked at for prompts.
        status: How it ended, as the system says it.
    """

    command: Command
    folder: Path
    pid: int
    terminal: int
    told: bytearray = field(default_factory=bytearray)
    answered: int = 0
    prompts: list[str] = field(default_factory=list)
    status: int | None = None


def main() -> None:
    """Run what is asked for, a line each, until nobody asks any more."""
    for name in (*_WARM, *sys.argv[1:]):
        import_module(name)
    with (
        os.fdopen(os.dup(0)) as requests,
        os.fdopen(os.dup(1), "w") as answers,
        tempfile.TemporaryDirectory() as folder,
    ):
        for number, line in enumerate(requests):
            place = Path(folder, str(number))
            ran = _together([Command(**one) for one in json.loads(line)], place)
            shutil.rmtree(place)
            answers.write(json.dumps([asdict(one) for one in ran]) + "\n")
            answers.flush()


def _together(commands: list[Command], folder: Path) -> list[Ran]:
    ready, go = os.pipe()
    running = [
        _started(command, folder / str(number), ready=ready, go=go) for number, command in enumerate(commands)
    ]
    os.close(ready)
    os.close(go)  # and all of them read the end of this pipe
    deadline = time.monotonic() + _MOST_SECONDS
    while waiting := [one for one in running if one.status is None]:
        heard = select.select([one.terminal for one in waiting if one.terminal >= 0], [], [], 0.005)[0]
        for one in waiting:
            if one.terminal in heard:
                _listen(one)
            if time.monotonic() > deadline:
                os.kill(one.pid, signal.SIGKILL)
            pid, status = os.waitpid(one.pid, os.WNOHANG)
            if pid:
                one.status = status
    return [_ended(one) for one in running]


def _started(command: Command, folder: Path, *, ready: int, go: int) -> _Running:
    (folder / "home").mkdir(parents=True)
    for name in ("in", "out", "err", "hosts"):
        (folder / name).write_text(command.piped if name == "in" else "")
    ours, theirs = (-1, -1) if command.at == "pipe" else os.openpty()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        _be(command, folder, terminal=theirs, ready=ready)
    if theirs >= 0:
        os.close(theirs)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, _SIZE)
    return _Running(command, folder, pid, ours)


def _listen(one: _Running) -> None:
    """Hear what the terminal shows, and type what comes next where it asks."""
    try:
        heard = os.read(one.terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        heard = b""
    if not heard:
        os.close(one.terminal)
        one.terminal = -1
        return
    one.told += heard
    if prompt := _PROMPT.search(one.told, one.answered):
        one.answered = len(one.told)
        answers = one.command.answers
        answer = answers[len(one.prompts)] if len(one.prompts) < len(answers) else EOF
        one.prompts.append(prompt[1].decode())
        os.write(one.terminal, (answer if answer in (EOF, INTERRUPT) else answer + "\n").encode())


def _ended(one: _Running) -> Ran:
    while one.terminal >= 0:
        _listen(one)
    assert one.status is not None
    shown = one.told.decode("utf-8", "replace").replace("\r\n", "\n")
    return Ran(
        exit_code=os.waitstatus_to_exitcode(one.status),
        out=(one.folder / "out").read_text(),
        shown=shown if one.command.at != "pipe" else (one.folder / "err").read_text(),
        prompts=tuple(one.prompts),
        hosts=tuple((one.folder / "hosts").read_text().splitlines()),
    )


# --- the process of one command ----------------------------------------------------------------------------


def _be(command: Command, folder: Path, *, terminal: int, ready: int) -> NoReturn:
    code = 70
    try:
        _connect(command.at, folder, terminal)
        os.read(ready, 1)
        os.closerange(3, 256)
        os.environ.update(command.env)
        _move_in(Path(command.home or folder / "home"))
        _unplug(folder / "hosts")
        if command.now is not None:
            _fix_time(datetime.fromisoformat(command.now))
        if command.exchange is not None:
            _replace_exchange(Path(command.exchange), cut_at=command.cut_at)
        time.sleep(command.after_ms / 1000)
        code = import_module("portfolio_rebalance.cli.main").main(list(command.words))
    except BaseException:
        traceback.print_exc()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _connect(at: Place, folder: Path, terminal: int) -> None:
    """The three streams; a session of its own, which a terminal controls or not."""
    os.setsid()
    if at == "terminal":
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    streams = [
        terminal if at != "pipe" else os.open(folder / "in", os.O_RDONLY),
        os.open(folder / "out", os.O_WRONLY),
        terminal if at != "pipe" else os.open(folder / "err", os.O_WRONLY),
    ]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _move_in(home: Path) -> None:
    """The user database names a home of the test's."""
    entry = pwd.struct_passwd(("tester", "x", os.getuid(), os.getgid(), "", str(home), "/bin/sh"))
    pwd.getpwuid = lambda _: entry


def _unplug(hosts: Path) -> None:
    """There is no network; what is looked for there is written down."""

    def unreachable(place: object) -> NoReturn:
        with hosts.open("a") as file:
            file.write(f"{place}\n")
        raise socket.gaierror(socket.EAI_NONAME, "there is no network")

    socket.getaddrinfo = lambda host, *_, **__: unreachable(host)
    for name in ("connect", "connect_ex", "sendto", "sendmsg"):
        setattr(socket.socket, name, lambda _, *sent: unreachable(sent[-1]))


def _fix_time(instant: datetime) -> None:
    class Fixed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            assert tz is UTC
            return instant  # type: ignore[return-value]

    for name in _TELL_THE_TIME:
        vars(import_module(f"portfolio_rebalance.{name}"))["datetime"] = Fixed


def _replace_exchange(folder: Path, *, cut_at: int) -> None:
    """Whatever the configuration names as an exchange is the one that stands in; paper is paper."""
    from portfolio_rebalance.config import Config
    from portfolio_rebalance.execution.venues import LIVE_ACCOUNT, Venue, open_venue
    from portfolio_rebalance.tools import desk

    @contextmanager
    def opened(root: Path, config: Config, *, now: Any, currency: str, environment: Any) -> Iterator[Venue]:
        if config.broker.kind == "paper":
            with open_venue(root, config, now=now, currency=currency, environment=environment) as venue:
                yield venue
            return
        with exchange(folder, now=now(), file=TESTNET if config.broker.sandbox else LIVE) as broker:
            broker.cut_at = cut_at
            yield Venue(
                broker=broker,
                account_of=lambda state: state.account or LIVE_ACCOUNT,
                adopt=lambda _books, _marks: None,
            )

    vars(desk)["open_venue"] = opened


if __name__ == "__main__":
    main()
