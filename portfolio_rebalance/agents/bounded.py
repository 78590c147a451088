"""Work over the network that ends when its time is over, whatever the other side does.

A timeout of a socket bounds each single wait, not their sum: a server that sends a byte now and then holds
a plain call for ever. So the work is done in a thread of its own, and whoever asked waits no longer than is
agreed. The thread is a daemon, which keeps no process alive, and it is not merely left behind: its sockets
are shut down, which wakes it from any wait for the other side, and a connection that it makes later is shut
as soon as it stands, so that nothing is sent any more. What it cannot be woken from bounds itself: looking up
a name (by the system), and connecting (by the connection's timeout).
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar, cast

__all__ = ["Line", "Overdue", "bounded"]

_T = TypeVar("_T")

_LONGEST_SECONDS: Final = 86_400.0
_BOTH_WAYS: Final = 2  # SHUT_RDWR
_CONNECTED: Final = ("connect_tcp.complete", "start_tls.complete")


class Overdue(Exception):  # noqa: N818 - named by what it says
    """The work's time was over first."""


class _Socket(Protocol):
    def shutdown(self, how: int, /) -> None: ...


class _Stream(Protocol):
    def get_extra_info(self, info: str, /) -> object: ...


class Line:
    """The connections of one piece of work, which another thread may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[_Socket] = []
        self._is_cut = False
        self.was_used = False
        """Whether a connection was ever begun; nothing left this machine before."""

    def watch(self, name: str, info: Mapping[str, object]) -> None:
        """Called by the HTTP client at each step of a request (its ``trace`` extension).

        Raises nothing: the client would then forget the connection without closing it.
        """
        self.was_used = True
        if name.endswith(_CONNECTED):
            found = cast(_Stream, info["return_value"]).get_extra_info("socket")
            with self._lock:
                self._sockets.append(cast(_Socket, found))
            if self._is_cut:
                self.cut()

    def cut(self) -> None:
        """Shut every connection, now and from now on. Harmless on those that are closed already."""
        with self._lock:
            self._is_cut = True
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(_BOTH_WAYS)


def bounded(work: Callable[[Line], _T], *, seconds: float) -> _T:
    """Do some work, for so long at most.

    Args:
        work: Must have the line watch all its connections.
        seconds: More than a day counts as a day.

    Raises:
        Overdue: The time was over first.
    """
    if not seconds > 0:
        raise Overdue
    line = Line()
    outcomes: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcomes.put((work(line), None))
        except BaseException as error:  # raised again where somebody waits for it
            outcomes.put((None, error))

    threading.Thread(target=run, name="model-call", daemon=True).start()
    try:
        found, error = outcomes.get(timeout=min(seconds, _LONGEST_SECONDS))
    except queue.Empty:
        raise Overdue from None
    finally:
        line.cut()  # also where a person interrupts
    if error is not None:
        raise error
    return cast(_T, found)
