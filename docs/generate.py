"""Write the generated parts of the documentation, or check that they are current.

``docs/configuration.md`` comes from the configuration model; the blocks between ``<!-- output: ... -->`` and
``<!-- end -->`` in README.md are what the command named there prints on the demo workspace.

    python docs/generate.py            write
    python docs/generate.py --check    exit with 1 and name what is out of date
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO_TRANSCRIPT = ROOT / "portfolio_rebalance/evals/transcripts/demo.jsonl"
PROGRAM = Path(sys.executable).with_name("trading-portfolio-rebalance")
BLOCK = re.compile(
    r"(<!-- output: (?P<command>[^\n]+?) -->\n```text\n)(?P<text>.*?)(```\n<!-- end -->)", re.DOTALL
)


def output_of(command: str, folder: Path) -> str:
    """What a command of ours prints in the folder of the demo.

    ``a | head -N`` keeps the first N lines, ``a | tail -N`` the last, ``a | from "WORDS" -N`` so many from
    the first that begins with the words. ``PLAN`` is the newest plan. What only a person at a terminal may
    do is done at one, with the answer that it asks for.
    """
    typed, _, kept = command.partition(" | ")
    words = shlex.split(typed)
    assert words[0] == PROGRAM.name, command
    if "PLAN" in words:
        words[words.index("PLAN")] = newest_plan(folder)
    if words[1:2] == ["approve"]:
        text = at_a_terminal([str(PROGRAM), *words[1:]], folder)
    else:
        done = subprocess.run([PROGRAM, *words[1:]], cwd=folder, capture_output=True, text=True, check=True)
        text = done.stdout
    lines = [line.rstrip() for line in text.splitlines()]
    end, _, count = kept.rpartition(" -")
    if end.startswith("from "):
        words = shlex.split(end)[1]
        first = next(number for number, line in enumerate(lines) if line.startswith(words))
        lines = lines[first : first + int(count)]
    elif kept:
        lines = lines[: int(count)] if end == "head" else lines[-int(count) :]
    return "\n".join(lines) + "\n"


def newest_plan(folder: Path) -> str:
    """The plan that was stored last."""
    done = subprocess.run([PROGRAM, "history", "--json"], cwd=folder, capture_output=True, check=True)
    return str(json.loads(done.stdout)["runs"][0]["plan_id"])[:12]


def at_a_terminal(words: list[str], folder: Path) -> str:
    """Standard output of a command that runs at a pseudo-terminal and is answered what it asks for."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        words, cwd=folder, stdin=other_end, stderr=other_end, stdout=subprocess.PIPE, text=True
    ) as process:
        os.close(other_end)
        said = b""
        while not (asked := re.search(rb"Type (\w+) to go on", said)):
            said += os.read(terminal, 4096)
        os.write(terminal, asked[1] + b"\n")
        assert process.stdout is not None
        printed = process.stdout.read()
    os.close(terminal)
    assert process.returncode == 0, said.decode()
    return printed


def demo_in(folder: Path) -> Path:
    """A fresh demo, with the transcript that a replay of it answers from."""
    folder.mkdir()
    subprocess.run([PROGRAM, "init", "--demo", "."], cwd=folder, capture_output=True, check=True)
    shutil.copy(DEMO_TRANSCRIPT, folder)
    return folder


def generated() -> dict[Path, str]:
    """Every generated file with the text it should have."""
    with tempfile.TemporaryDirectory() as name:
        folder, with_models = demo_in(Path(name) / "demo"), demo_in(Path(name) / "with-models")
        readme = ROOT / "README.md"

        def renewed(block: re.Match[str]) -> str:
            where = (
                with_models if "--replay" in block["command"] else folder
            )  # else it would be the newest plan
            return block[1] + output_of(block["command"], where) + block[4]

        text = BLOCK.sub(renewed, readme.read_text("utf-8"))
        return {
            readme: text,
            ROOT / "docs/configuration.md": output_of(f"{PROGRAM.name} config --markdown", folder),
        }


def main() -> int:
    """Write, or check with ``--check``."""
    stale = [
        path for path, text in generated().items() if not path.exists() or path.read_text("utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            sys.stdout.write(f"out of date: {path.relative_to(ROOT)}; run: make docs\n")
        return 1 if stale else 0
    for path, text in generated().items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
