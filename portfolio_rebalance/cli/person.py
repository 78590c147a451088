"""Somebody at a terminal: asked on it, and nowhere else.

Questions go to standard error and answers come from standard input, both of which must be a terminal; the
passphrase is read from the controlling terminal itself, never from an argument, a variable or a pipe.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portfolio_rebalance.reporting import Block
    from portfolio_rebalance.run.approval import ApprovalPage
    from portfolio_rebalance.vault import Seal

__all__ = ["TerminalPerson", "person_at_terminal", "read_passphrase"]

_TERMINAL: Final = "/dev/tty"
_WIDEST: Final = 120


class TerminalPerson:
    """The person who sits at this process's terminal."""

    @property
    def user(self) -> str:
        """Their login name, from the system's user database."""
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    def confirms(self, page: ApprovalPage) -> bool:
        """Show the page and ask for its first characters; anything else, EOF included, is no."""
        self.sees(page)
        return self.agrees("To approve this plan, type the first characters of its id.", word=page.asked_for)

    def sees(self, page: ApprovalPage) -> None:
        """Show the page."""
        _show(page.blocks)

    def agrees(self, question: str, *, word: str) -> bool:
        """Ask for a word; anything else, EOF included, is no."""
        sys.stderr.write(f"{question}\nType {word} to go on, anything else to stop: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip() == word

    def seal(self) -> Seal:
        """Ask for the live passphrase."""
        from portfolio_rebalance.vault import unlock, vault_folder

        return unlock(vault_folder(), read_passphrase("Passphrase for live money: "))


def person_at_terminal() -> TerminalPerson | None:
    """The person who can be asked; None where input or messages are no terminal."""
    for stream in (sys.stdin, sys.stderr):
        if stream is None or stream.closed or not stream.isatty():
            return None
    return TerminalPerson()


def read_passphrase(prompt: str) -> str:
    """Read a passphrase from the controlling terminal, without showing it.

    Raises:
        NotApprovedError: There is none.
    """
    from getpass import getpass

    from portfolio_rebalance.errors import NotApprovedError

    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))  # else getpass would fall back to a pipe
        return getpass(prompt)
    except (OSError, EOFError) as error:
        raise NotApprovedError(
            "There is no terminal to ask for the passphrase at.",
            where=str(Path(_TERMINAL)),
            fix="Run it in a terminal of yours.",
        ) from error


def _show(blocks: Sequence[Block]) -> None:
    from rich.console import Console

    from portfolio_rebalance.reporting.terminal import renderables

    console = Console(
        file=sys.stderr, color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False
    )
    console.width = min(console.width, _WIDEST)
    for renderable in renderables(blocks, width=console.width):
        console.print(renderable)
