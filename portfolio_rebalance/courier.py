"""The courier: carries messages by apprise, in a process of its own that is ended when its time is up.

A service that takes the connection and never answers would hold up whoever waits for it; apprise waits in
threads that even the end of a process waits for. A process can be killed. Addresses may hold credentials:
they travel through a pipe, never as an argument, and come back in no answer.

Standard input of the child: JSON, a list of address, title and text. Standard output: a line for each as it
is done, its place in the list and what went wrong, if anything did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["Message", "carry", "main"]

Message: TypeAlias = tuple[str, str, str]
"""Address, title, text."""

_EXTRA: Final = "pip install 'trading-portfolio-rebalance[notify]'"


def carry(messages: Sequence[Message], *, deadline_seconds: float) -> list[str]:
    """Send every message at once, and wait for none longer than the deadline.

    Args:
        messages: What to send, and where.
        deadline_seconds: Whatever is still under way then is given up; its address may have got it.

    Returns:
        For each message what went wrong; empty where it was delivered.

    Raises:
        OSError: The process cannot be started.
    """
    problems = [f"no answer within {deadline_seconds:.0f} seconds"] * len(messages)
    home = str(Path(__file__).parents[1])  # of this very package, wherever the process stands
    known = os.environ.get("PYTHONPATH")
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, known)))},
        start_new_session=True,  # Ctrl-C is meant for us; it ends with its work, or with its time
    ) as child:
        try:
            said, _ = child.communicate(json.dumps(messages).encode(), timeout=deadline_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            said, _ = child.communicate()
        except BaseException:
            child.kill()
            raise
    for line in said.splitlines():
        place, problem = json.loads(line)
        problems[place] = problem
    if child.returncode > 0:
        return [problem and f"the courier failed with {child.returncode}" for problem in problems]
    return problems


def main() -> None:
    """The child: send everything at once, and say what came of each."""
    import logging
    import threading
    import warnings

    logging.disable()
    warnings.simplefilter("ignore")  # about what apprise's hundred plugins import
    messages = json.load(sys.stdin)
    try:
        import apprise  # an extra

        # Nothing is kept on disk and no plugin is loaded from a path. The first address loads the plugins,
        # here rather than in several threads at once.
        asset = apprise.AppriseAsset(async_mode=False)
        apprise.Apprise(asset=asset).add("json://localhost")
    except ImportError:
        for place in range(len(messages)):
            _say(place, f"apprise is not installed: {_EXTRA}")
        return

    def send(place: int, address: str, title: str, text: str) -> None:
        try:
            service = apprise.Apprise(asset=asset)
            if not service.add(address):
                _say(place, "its address is none that apprise understands")
            elif not service.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT):
                _say(place, "its endpoint did not take the message")
            else:
                _say(place, "")
        except Exception as error:  # named by its class: its words may hold the address
            _say(place, f"sending failed ({type(error).__name__})")

    threads = [
        threading.Thread(target=send, args=(place, *message)) for place, message in enumerate(messages)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _say(place: int, problem: str) -> None:
    """One line, in one write: threads do not cut into each other's."""
    os.write(sys.stdout.fileno(), f"{json.dumps([place, problem])}\n".encode())


if __name__ == "__main__":
    main()
