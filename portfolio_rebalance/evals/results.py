"""Results of a suite: one JSON object, one table, and what changed between two of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from portfolio_rebalance import __version__
from portfolio_rebalance.config_types import Section
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.evals.suite import CaseScore
from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, right, whole

__all__ = ["EvalResults", "compare_blocks", "read_results", "results_blocks", "results_of"]

_MOST_SHOWN = 20


class EvalResults(Section):
    """What a suite came to.

    Attributes:
        scenarios: Scenarios that are no attacks.
        attack_cases: Cases that are.
        breaches: Cases in which a safety scorer found a fault.
        benign_completed: Share of benign scenarios whose task was completed.
        seconds: Of all cases together, as if run one after another.
    """

    schema_version: int = 1
    version: str
    scenarios: int
    attack_cases: int
    breaches: int
    failures: int
    benign_completed: float
    seconds: float
    cases: tuple[CaseScore, ...]

    @property
    def is_safe(self) -> bool:
        """Whether no safety scorer found a fault, and anything was run at all."""
        return self.breaches == 0 and bool(self.cases)


def results_of(cases: Sequence[CaseScore]) -> EvalResults:
    """All scores, summed up."""
    benign = [one for one in cases if one.benign and not one.attack]
    completed = [one for one in benign if not _failed(one, "utility")]
    return EvalResults(
        version=__version__,
        scenarios=len({one.scenario for one in cases if not one.attack}),
        attack_cases=sum(one.attack for one in cases),
        breaches=sum(bool(one.breaches) for one in cases),
        failures=sum(bool(one.failures) for one in cases),
        benign_completed=round(len(completed) / len(benign), 4) if benign else 1.0,
        seconds=round(sum(one.seconds for one in cases), 1),
        cases=tuple(cases),
    )


def read_results(path: Path) -> EvalResults:
    """Results that ``--json`` wrote, offline or live; what the front door adds to its documents is left out.

    Raises:
        MissingDataError: There is no such file.
        BadDataError: It holds no results.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        own = {name: value for name, value in dict(document).items() if name in EvalResults.model_fields}
        return EvalResults.model_validate_json(json.dumps(own))
    except OSError as cause:
        raise MissingDataError(
            f"It cannot be read: {cause.strerror}.",
            where=str(path),
            fix="Write one with: eval --json > FILE",
        ) from None
    except (ValueError, TypeError, RecursionError):  # no JSON, no object, or an object of something else
        raise BadDataError(
            "It holds no results of evals.", where=str(path), fix="Write one with: eval --json > FILE"
        ) from None


def results_blocks(results: EvalResults) -> Iterator[Block]:
    """By family and by scorer, then what failed."""
    families = sorted({one.family for one in results.cases})
    yield Table(
        title="Evals by family",
        columns=(*whole("family"), *right("cases", "passed", "failed", "breaches", "seconds")),
        rows=tuple(_family_row(name, results.cases) for name in families),
        note=(
            f"{results.scenarios} scenarios and {results.attack_cases} attack cases; "
            f"{100 * results.benign_completed:.1f} % of benign ones completed."
        ),
    )
    yield Table(
        title="Evals by scorer",
        columns=(*whole("scorer", "kind"), *right("passed", "failed", "not asked", "mean value")),
        rows=tuple(_scorer_rows(results.cases)),
    )
    failed = [one for one in results.cases if one.failures]
    for one in failed[:_MOST_SHOWN]:
        for result in one.failures:
            yield Paragraph(f"{one.case}: {result.scorer}: {'; '.join(result.faults)}", "bad")
    if len(failed) > _MOST_SHOWN:
        yield Paragraph(f"... and {len(failed) - _MOST_SHOWN} more cases.", "bad")
    yield Paragraph(
        "No breach." if results.is_safe else f"{results.breaches} breaches.",
        "good" if results.is_safe else "bad",
    )


def compare_blocks(before: EvalResults, after: EvalResults) -> Iterator[Block]:
    """What got worse, what got better, what is new and what is gone."""
    then, now = ({one.case: one for one in side.cases} for side in (before, after))
    both = sorted(then.keys() & now.keys())
    new = {case: _failing(now[case]) - _failing(then[case]) for case in both}
    mended = {case: _failing(then[case]) - _failing(now[case]) for case in both}
    worse = [case for case in both if new[case]]
    better = [case for case in both if mended[case] and not new[case]]
    yield Table(
        title="Evals compared",
        columns=(*whole("what"), *right("before", "after")),
        rows=(
            ("scenarios", str(before.scenarios), str(after.scenarios)),
            ("attack cases", str(before.attack_cases), str(after.attack_cases)),
            ("breaches", str(before.breaches), str(after.breaches)),
            ("failures", str(before.failures), str(after.failures)),
            (
                "benign completed %",
                f"{100 * before.benign_completed:.1f}",
                f"{100 * after.benign_completed:.1f}",
            ),
            ("seconds", f"{before.seconds:.1f}", f"{after.seconds:.1f}"),
        ),
        note=f"{len(now.keys() - then.keys())} cases are new, {len(then.keys() - now.keys())} are gone.",
    )
    for case in worse[:_MOST_SHOWN]:
        yield Paragraph(f"worse: {case}: {', '.join(sorted(new[case]))}", "bad")
    for case in better[:_MOST_SHOWN]:
        yield Paragraph(f"better: {case}: {', '.join(sorted(mended[case]))}", "good")
    if len(worse) > _MOST_SHOWN:
        yield Paragraph(f"... and {len(worse) - _MOST_SHOWN} more are worse.", "bad")
    if not worse and not better:
        yield Paragraph("No case changed from passed to failed, or back.")


def _failing(case: CaseScore) -> frozenset[str]:
    return frozenset(one.scorer for one in case.failures)


def _failed(case: CaseScore, scorer: str) -> bool:
    return any(one.scorer == scorer and one.passed is False for one in case.results)


def _family_row(name: str, cases: Sequence[CaseScore]) -> tuple[str, ...]:
    mine = [one for one in cases if one.family == name]
    failed = sum(bool(one.failures) for one in mine)
    return (
        name,
        str(len(mine)),
        str(len(mine) - failed),
        str(failed),
        str(sum(bool(one.breaches) for one in mine)),
        f"{sum(one.seconds for one in mine):.1f}",
    )


def _scorer_rows(cases: Sequence[CaseScore]) -> Iterator[tuple[str, ...]]:
    kinds = {one.scorer: one.kind for case in cases for one in case.results}
    counts: Counter[tuple[str, bool | None]] = Counter(
        (one.scorer, one.passed) for case in cases for one in case.results
    )
    for name, kind in kinds.items():
        values = [
            one.value
            for case in cases
            for one in case.results
            if one.scorer == name and one.value is not None
        ]
        yield (
            name,
            kind,
            str(counts[name, True]),
            str(counts[name, False]),
            str(counts[name, None]),
            f"{sum(values) / len(values):.3f}" if values else "",
        )
