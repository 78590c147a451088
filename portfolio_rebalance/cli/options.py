"""What the command line accepts: the options that verbs share, and the group that tells verbs from words."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

__all__ = [
    "AsOf",
    "Confirm",
    "Detailed",
    "DryRun",
    "Execute",
    "Hold",
    "Json",
    "ModeName",
    "Provider",
    "Record",
    "Replay",
    "Words",
    "Workspace",
    "new_app",
    "option_words",
    "verbs_or",
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Workspace = Annotated[
    str | None,
    typer.Option("--workspace", metavar="DIR", help="The .crypto folder, or the folder that holds it."),
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="INSTANT", help="Fix the clock, such as 2019-10-01T02:00:00Z."),
]
ModeName = Annotated[
    str | None, typer.Option("--mode", metavar="MODE", help="How to rebalance; the modes stand below.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan only; this is the default.")]
Execute = Annotated[
    bool, typer.Option("--execute", help="Execute the approved plan; on a terminal, plan and ask.")
]
Hold = Annotated[
    list[str] | None,
    typer.Option("--hold", metavar="STRATEGY", help="Leave it unchanged in this run; repeatable."),
]
Detailed = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 10 when a plan awaits approval.")]
Confirm = Annotated[
    str | None,
    typer.Option("--confirm-capital", metavar="AMOUNT", help="Confirm a jump: the total capital as shown."),
]
Provider = Annotated[
    str | None,
    typer.Option("--provider", metavar="WHO", help="Who leads: anthropic, a model; or rules, no model."),
]
Record = Annotated[
    str | None,
    typer.Option("--record", metavar="DIR", help="Keep what models are asked and answer, redacted."),
]
Replay = Annotated[
    str | None,
    typer.Option("--replay", metavar="FILE", help="Answer from a transcript instead of a model."),
]
Words = Annotated[list[str], typer.Argument(metavar="WORDS...", help="What to do, in plain words.")]

_EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 unexpected, 2 usage, 10 a plan awaits approval (with --detailed-exitcode), "
    "11 not approved, 12 stale plan, 13 blocked, 14 bad data, 15 halted or busy, 16 reverted, "
    "130 interrupted."
)


def new_app(**settings: Any) -> typer.Typer:
    """An app with plain help: no rich, no shell completion, no tracebacks of its own."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        **settings,
    )


def verbs_or(free_text: typer.Typer) -> typer.Typer:
    """An app of verbs that hands every other first word, with all that follows, to ``free_text``."""

    class Verbs(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if self.get_command(ctx, args[0]) is None:
                return args[0], typer.main.get_command(free_text), args
            return super().resolve_command(ctx, args)

        def format_epilog(self, ctx: Any, formatter: Any) -> None:
            from portfolio_rebalance.allocation import find_mode, mode_names

            modes = [(name.replace("_", "-"), find_mode(name).summary) for name in mode_names()]
            with formatter.section("Modes"):
                formatter.write_dl(modes)
            super().format_epilog(ctx, formatter)

    return new_app(cls=Verbs, epilog=_EXIT_CODES)


def option_words(**options: object) -> list[str]:
    """Options as a person would type them, so that one parser has the last word on them.

    Args:
        **options: By name; None and False are left out, True is a flag, a list repeats its option.
    """
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [word for item in value for word in (flag, str(item))]
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return words
