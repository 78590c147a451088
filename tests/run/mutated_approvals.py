"""Mutations of an approval, of the time at which it is used, of its use; and the kill switch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta

from executing import execute
from run.mutations import LATER, Mutation, Scene, Template
from workspaces import AS_OF

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import (
    FutureDataError,
    HaltedError,
    LedgerError,
    NotApprovedError,
    PlanConsumedError,
    PlanExpiredError,
    PlanNotFoundError,
    PlanTamperedError,
)
from portfolio_rebalance.run import approval, operator

__all__ = ["approval_mutations"]

HALT = "portfolio-rebalance/HALT"
PLANS_ANEW = (NotApprovedError.exit_code, "refused")
"""`run_skill` finds nothing approved, makes a plan, and nobody has approved that one."""


def approval_mutations(template: Template) -> list[Mutation]:
    """All of them, family by family; the same for the same template."""
    return [*_of_the_approval(template), *_of_time(), *_of_use(template), *_halted()]


# --- the approval ----------------------------------------------------------------------------------------


def _of_the_approval(template: Template) -> Iterator[Mutation]:
    minute = timedelta(minutes=1)
    not_between = "which is not between plan and now"
    for name, at in (
        ("a second before the plan", AS_OF - timedelta(seconds=1)),
        ("a year before the plan", AS_OF - timedelta(days=365)),
        ("a second ahead", LATER + timedelta(seconds=1)),
        ("a year ahead", LATER + timedelta(days=365)),
    ):
        yield Mutation(
            name=f"approval: dated {name}",
            act=_approves(at=format_instant(at)),
            kind=PlanTamperedError,
            saying=f"^The approval is dated {format_instant(at)}, {not_between}",
        )
    for method in ("execute", "pre_approved"):
        yield Mutation(
            name=f"approval: by {method}",
            act=_approves(method=method),
            kind=NotApprovedError,
            saying=f"by '{method}', which the configuration does not provide for",
        )
    for name, changes in (
        ("of another plan", {"plan_id": template.other_id}),
        ("of no plan", {"plan_id": ""}),
        ("of a prefix", {"plan_id": template.plan_id[:12]}),
        ("in capitals", {"plan_id": template.plan_id.upper()}),
        ("without a zone", {"at": "2025-02-05T02:00:00"}),
        ("in another zone", {"at": "2025-02-05T03:00:00+01:00"}),
        ("dated nothing", {"at": ""}),
        ("dated null", {"at": None}),
        ("by nobody", {"user": None}),
        ("by a number", {"user": 0}),
        ("by a model", {"method": "model"}),
        ("by no method", {"method": ""}),
        ("shown nothing", {"shown_sha256": None}),
        ("sealed null", {"seal": None}),
        ("with a key more", {"limit": "60"}),
    ):
        yield Mutation(
            name=f"approval: {name}",
            act=_approves(**changes),
            kind=LedgerError,
            saying="^approvals [0-9a-f]{64} (holds the approval of|cannot be read)",
        )
    for name, content in (("empty", b""), ("cut", b'{"at":'), ("a list", b"[]"), ("null", b"null")):
        yield Mutation(
            name=f"approval: {name}",
            act=_does("UPDATE approvals SET content = ?", content),
            kind=LedgerError,
            saying="cannot be read",
        )
    yield Mutation(
        name="approval: missing",
        act=_does("DELETE FROM approvals"),
        kind=NotApprovedError,
        saying=f"^Nobody approved plan {template.plan_id[:12]}",
        by_skill=PLANS_ANEW,
    )
    yield Mutation(
        name="approval: moved to another plan",
        act=_does("UPDATE approvals SET plan_id = ?", template.other_id),
        kind=NotApprovedError,
        saying=f"^Nobody approved plan {template.plan_id[:12]}",
        by_skill=(LedgerError.exit_code, "refused"),
    )
    yield Mutation(
        name="approval: of this plan, and another one is to be executed",
        act=lambda scene: template.other_id,
        kind=NotApprovedError,
        saying=f"^Nobody approved plan {template.other_id[:12]}",
        by_skill=None,
    )
    yield Mutation(
        name="approval: taken back",
        act=_rejects,
        kind=PlanConsumedError,
        saying=f"^Plan {template.plan_id[:12]} was rejected",
        by_skill=PLANS_ANEW,
    )
    yield Mutation(
        name="approval: given a minute from now",
        act=_approves(at=format_instant(AS_OF + minute)),
        at=AS_OF + timedelta(seconds=59),
        kind=PlanTamperedError,
        saying=not_between,
    )


# --- time, use, and the kill switch ----------------------------------------------------------------------


def _of_time() -> Iterator[Mutation]:
    second, day = timedelta(seconds=1), timedelta(days=1)
    for name, at in (
        ("a second before the plan", AS_OF - second),
        ("half an hour before the plan", AS_OF - timedelta(minutes=30)),
        ("at the very expiry", AS_OF + day),
        ("a second after the expiry", AS_OF + day + second),
        ("two days later", AS_OF + 2 * day),
        ("eight days later", AS_OF + 8 * day),
        ("a year later", AS_OF + 365 * day),
    ):
        yield Mutation(
            name=f"clock: {name}",
            act=_nothing,
            at=at,
            kind=PlanExpiredError,
            saying=f"^The plan of {format_instant(AS_OF)} is good until {format_instant(AS_OF + day)}; "
            f"now it is {format_instant(at)}",
        )
    for name, at in (("an hour", AS_OF - timedelta(hours=1)), ("a year", AS_OF - 365 * day)):
        yield Mutation(
            name=f"clock: {name} before the plan, and before the state",
            act=_nothing,
            at=at,
            kind=FutureDataError,
            saying=f" is later than this run, {format_instant(at)}",
            by_skill=(PlanExpiredError.exit_code, "refused"),
        )


def _of_use(template: Template) -> Iterator[Mutation]:
    for name, at in (("at once", LATER), ("an hour later", LATER + timedelta(hours=1))):
        yield Mutation(
            name=f"use: executed again {name}",
            act=_executes,
            at=at,
            kind=PlanConsumedError,
            saying=f"^Plan {template.plan_id[:12]} was executed before: a plan is used once",
            by_skill=(0, "hold"),
        )
    plan_id = template.plan_id
    for name, given, kind, saying in (
        ("a prefix", plan_id[:12], PlanTamperedError, "is not the whole id"),
        ("all but one character", plan_id[:-1], PlanTamperedError, "is not the whole id"),
        ("no plan's id", "0" * 64, PlanNotFoundError, "0000"),
        ("in capitals", plan_id.upper(), PlanNotFoundError, plan_id.upper()[:12]),
        ("with a space", f"{plan_id} ", PlanNotFoundError, plan_id[:12]),
        ("a pattern", "%", PlanNotFoundError, "%"),
    ):
        yield Mutation(
            name=f"use: by {name}",
            act=lambda scene, given=given: given,  # type: ignore[misc]
            kind=kind,
            saying=saying,
            by_skill=None,
        )


def _empty_file(scene: Scene) -> None:
    scene.path(HALT).write_bytes(b"")


def _with_words(scene: Scene) -> None:
    scene.path(HALT).write_text("the exchange is down\n")


def _nearly_reduce_only(scene: Scene) -> None:
    scene.path(HALT).write_bytes(b"reduce-only")


def _not_text(scene: Scene) -> None:
    scene.path(HALT).write_bytes(b"\xff\x00" * 50)


def _too_large(scene: Scene) -> None:
    scene.path(HALT).write_bytes(b"x" * 100_000)


def _folder(scene: Scene) -> None:
    scene.path(HALT).mkdir()


def _link_to_nowhere(scene: Scene) -> None:
    scene.path(HALT).symlink_to("nowhere")


def _link_to_itself(scene: Scene) -> None:
    scene.path(HALT).symlink_to(HALT)


def _link_to_reduce_only(scene: Scene) -> None:
    scene.path("elsewhere").write_bytes(b"reduce-only\n")
    scene.path(HALT).symlink_to(scene.path("elsewhere"))


def _pipe(scene: Scene) -> None:
    os.mkfifo(scene.path(HALT))


def _by_the_verb(scene: Scene) -> None:
    operator.halt(scene.root, level="all", reason="lunch")


HALTS: tuple[Callable[[Scene], None], ...] = (
    _empty_file,
    _with_words,
    _nearly_reduce_only,
    _not_text,
    _too_large,
    _folder,
    _link_to_nowhere,
    _link_to_itself,
    _link_to_reduce_only,
    _pipe,
    _by_the_verb,
)


def _halted() -> Iterator[Mutation]:
    for act in HALTS:
        name = act.__name__.strip("_").replace("_", " ")
        yield Mutation(name=f"HALT: {name}", act=act, kind=HaltedError, saying="^HALT stands: .")


# --- acts ------------------------------------------------------------------------------------------------


def _approves(**changes: object) -> Callable[[Scene], None]:
    return lambda scene: scene.sql("UPDATE approvals SET content = ?", scene.approval(**changes))


def _does(statement: str, *values: object) -> Callable[[Scene], None]:
    return lambda scene: scene.sql(statement, *values)


def _rejects(scene: Scene) -> None:
    approval.reject(scene.root, scene.plan_id, user="tester", at=AS_OF, reason="no")


def _executes(scene: Scene) -> None:
    assert execute(scene.root, scene.plan_id, at=LATER).status == "committed"


def _nothing(scene: Scene) -> None:
    return None
