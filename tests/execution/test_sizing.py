"""Sizing: shares of the worst total, lowered until every ceiling holds, within what was approved."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

import pytest
from batches import BP, F
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.gate import Exposure
from portfolio_rebalance.execution.sizing import (
    Ceiling,
    Fit,
    Wanted,
    fitting,
    least_approved,
    require_approved,
    scaled_to_fit,
)

A, B, C, D = "STR-A", "STR-B", "STR-C", "STR-D"
TINY = F(1, 10**40)
NOW = Exposure(capital={A: F(34_000), B: F(10_300), C: F(20_000), D: F(5_000)}, total=F(100_000))


def fitted(
    wanted: Mapping[str, int],
    *ceilings: Ceiling,
    worst_total: object = 100_000,
    minimum_bp: int = 100,
    least: Mapping[str, int] | None = None,
) -> Fit:
    return fitting(
        {key: F(bp) for key, bp in wanted.items()},
        now=NOW,
        worst_total=F(str(worst_total)),
        ceilings=ceilings,
        minimum_bp=minimum_bp,
        least=None if least is None else {key: F(money) for key, money in least.items()},
    )


def at_most(bp: int, *members: str) -> Ceiling:
    return members, F(bp)


# --- fitting ---------------------------------------------------------------------------------------------


def test_a_share_is_taken_of_the_total_after_the_worst_cost() -> None:
    assert fitted({A: 1600, C: 1400}, worst_total=99_900) == Fit(
        capital={A: F(15_984), C: F(13_986)}, unmet=()
    )


def test_what_is_not_zero_is_at_least_the_minimum_of_the_total_before_any_cost() -> None:
    """So that it holds whether the costs come or not."""
    assert fitted({A: 100, B: 101, C: 0}, worst_total=99_000).capital == {A: 1000, B: 1000, C: 0}
    assert fitted({A: 100, B: 101, C: 0}, worst_total=99_900).capital == {A: 1000, B: F("1008.99"), C: 0}


def test_a_ceiling_is_of_the_total_after_the_worst_cost_less_what_does_not_change() -> None:
    made = fitted({A: 2500}, at_most(3000, A, C), worst_total=99_900)
    assert made.capital == {A: 29_970 - 20_000}


def test_a_ceiling_that_just_holds_lowers_nothing_and_the_least_more_does() -> None:
    assert fitted({A: 1000}, at_most(3000, A, C)).capital == {A: 10_000}
    assert fitted({A: 1001}, at_most(3000, A, C)).capital == {A: 10_000}
    assert fitted({A: 1000}, at_most(3000, A, C), worst_total=100_000 - TINY).capital[A] < 10_000 - TINY / 10


def test_members_are_lowered_in_proportion_but_not_below_the_minimum() -> None:
    made = fitted({A: 3000, B: 1000, D: 100}, at_most(3100, A, B, D))
    assert made.capital == {A: 22_500, B: 7_500, D: 1_000}


def test_ceilings_are_met_in_the_order_given() -> None:
    """From the inside out, each takes what the one before has left."""
    made = fitted({A: 5000, C: 2000}, at_most(4000, A), at_most(3000, A, C), at_most(2400, A, C))
    assert made.capital == {A: 16_000, C: 8_000}
    assert made.unmet == ()


def test_strategies_outside_a_ceiling_are_left_alone() -> None:
    assert fitted({A: 1600, B: 2000}, at_most(1000, A)).capital == {A: 10_000, B: 20_000}
    assert fitted({A: 1600}, at_most(2500, B, C)).unmet == (((B, C), F(2500)),)


def test_a_ceiling_that_not_even_the_least_meets_is_named_and_its_members_are_at_the_least() -> None:
    made = fitted({A: 1600, D: 300, B: 0}, at_most(2100, A, B, C, D))
    assert made == Fit(capital={A: 1000, D: 1000, B: 0}, unmet=(((A, B, C, D), F(2100)),))
    assert fitted({A: 1600, D: 300, B: 0}, at_most(2200, A, B, C, D)).unmet == ()
    assert fitted({A: 1600}, at_most(1999, A, C)).unmet == (((A, C), F(1999)),)


def test_nobody_is_lowered_below_the_least_that_was_approved_the_others_give_way() -> None:
    free = fitted({A: 3000, B: 1000}, at_most(2000, A, B))
    assert free.capital == {A: 15_000, B: 5_000}
    assert fitted({A: 3000, B: 1000}, at_most(2000, A, B), least={B: 8_000}).capital == {A: 12_000, B: 8_000}
    none = fitted({A: 3000, B: 1000}, at_most(2000, A, B), least={A: 12_001, B: 8_000})
    assert none == Fit(capital={A: 12_001, B: 8_000}, unmet=(((A, B), F(2000)),))


def test_the_least_is_the_minimum_where_that_is_more_and_nothing_for_an_exit() -> None:
    assert fitted({A: 100}, at_most(50, A), least={A: 900}).capital == {A: 1000}
    assert fitted({A: 0, B: 50}, least={A: 900, B: 1100}).capital == {A: 0, B: 1100}


def test_without_a_minimum_everything_can_go() -> None:
    assert fitted({A: 1600}, at_most(2000, A, C), minimum_bp=0) == Fit(capital={A: 0}, unmet=())
    assert fitted({A: 1600}, at_most(1999, A, C), minimum_bp=0).unmet == (((A, C), F(1999)),)


# --- scaling ---------------------------------------------------------------------------------------------


def scaled(
    values: Mapping[str, object], *, room: object, floors: Mapping[str, int] | None = None
) -> dict[str, Fraction] | None:
    return scaled_to_fit(
        {key: F(str(value)) for key, value in values.items()},
        room=F(str(room)),
        floors={key: F((floors or {}).get(key, 0)) for key in values},
    )


def test_what_fits_is_not_scaled_up() -> None:
    assert scaled({A: 30, B: 10}, room=100) == {A: 30, B: 10}
    assert scaled({A: 30, B: 10}, room=40) == {A: 30, B: 10}
    assert scaled({A: 0, B: 0}, room=0) == {A: 0, B: 0}


def test_one_factor_for_all_above_their_floors() -> None:
    assert scaled({A: 30, B: 10}, room=20) == {A: 15, B: 5}
    assert scaled({A: 30, B: 10}, room=20, floors={B: 8}) == {A: 12, B: 8}


def test_one_floor_may_push_another_below_its_own() -> None:
    """At a first factor of 1/2 only C is below its floor; what it keeps pushes B below its own."""
    assert scaled({A: 40, B: 20, C: 10}, room=35, floors={B: 9, C: 9}) == {A: 17, B: 9, C: 9}


def test_the_floors_just_fit_or_just_do_not() -> None:
    assert scaled({A: 40, B: 20}, room=18, floors={A: 9, B: 9}) == {A: 9, B: 9}
    assert scaled({A: 40, B: 20}, room=18 - TINY, floors={A: 9, B: 9}) is None
    assert scaled({A: 40}, room=-TINY) is None
    assert scaled({A: 40}, room=0) == {A: 0}


def test_what_is_nothing_stays_nothing() -> None:
    assert scaled({A: 0, B: 20}, room=10, floors={A: 9}) == {A: 0, B: 10}


# --- what was approved -----------------------------------------------------------------------------------


def approved(
    change: object,
    *,
    to: object,
    now: object = 10_000,
    cost_share: object = 0,
    target_bp: int = 1000,
) -> tuple[Fraction, str]:
    return require_approved(
        Wanted(strategy=A, target_bp=F(target_bp), approved=F(str(change))),
        now=F(str(now)),
        goal=F(str(to)),
        cost_share=F(str(cost_share)),
    )


@pytest.mark.parametrize("goal", [9_000, 8_950, 9_050, 9_025])
def test_a_reduction_within_five_percent_of_the_approved_notional_is_made_as_it_is(goal: int) -> None:
    assert approved(-1000, to=goal) == (goal, "")


@pytest.mark.parametrize("goal", [11_000, 10_950, 11_050])
def test_an_increase_within_five_percent_of_the_approved_notional_is_made_as_it_is(goal: int) -> None:
    assert approved(1000, to=goal) == (goal, "")


def test_beyond_five_percent_it_is_brought_back_to_five_and_a_note_says_so() -> None:
    said = "STR-A: sized at {} instead of {}, to stay within 5 % of the approved {}"
    assert approved(-1000, to=8_949) == (8_950, said.format("-1050.00", "-1051.00", "-1000.00"))
    assert approved(-1000, to=9_051) == (9_050, said.format("-950.00", "-949.00", "-1000.00"))
    assert approved(1000, to=11_051) == (11_050, said.format("1050.00", "1051.00", "1000.00"))
    assert approved(1000, to=10_949) == (10_950, said.format("950.00", "949.00", "1000.00"))
    assert approved(-1000, to=8_950 - TINY)[0] == 8_950
    assert approved(-1000, to=9_050 + TINY)[0] == 9_050


def test_the_smallest_change_keeps_its_side() -> None:
    assert approved(F("-0.5"), to=F("9999.5")) == (F("9999.5"), "")
    assert approved(F("0.5"), to=F("10000.5")) == (F("10000.5"), "")
    assert approved(-TINY, to=10_000 - TINY) == (10_000 - TINY, "")


def least(change: object, *, now: object = 10_000, cost_share: object = 0) -> Fraction:
    wanted = Wanted(strategy=A, target_bp=F(1000), approved=F(str(change)))
    return least_approved(wanted, now=F(str(now)), cost_share=F(str(cost_share)))


@pytest.mark.parametrize("change", [-1000, 1000])
@pytest.mark.parametrize("cost_share", [0, 7])
def test_the_least_that_was_approved_is_where_the_band_ends(change: int, cost_share: int) -> None:
    end = 10_000 + change - 50 - cost_share
    assert least(change, cost_share=cost_share) == end
    assert approved(change, to=end, cost_share=cost_share) == (end, "")
    assert approved(change, to=end - TINY, cost_share=cost_share)[0] == end


def test_the_least_that_was_approved_is_not_below_nothing() -> None:
    assert least(-1000, now=1049) == 0
    assert least(-1000, now=1051) == 1


def test_costs_may_take_their_share_beside_the_five_percent() -> None:
    assert approved(-1000, to=8_943, cost_share=7) == (8_943, "")
    assert approved(1000, to=10_943, cost_share=7) == (10_943, "")
    assert approved(-1000, to=8_942, cost_share=7)[0] == 8_943
    assert approved(1000, to=10_942, cost_share=7)[0] == 10_943


def test_a_change_that_costs_eat_nearly_whole_keeps_its_sign() -> None:
    """With the costs' share above 95 % of it, even the least increase is within what was approved."""
    assert approved(10, to=10_000 + TINY, cost_share=20) == (10_000 + TINY, "")


@pytest.mark.parametrize(
    ("change", "goal"), [(-1000, 10_001), (1000, 9_999), (1000, 10_000), (-1000, 10_000)]
)
def test_a_change_to_the_other_side_or_of_nothing_is_refused(change: int, goal: int) -> None:
    with pytest.raises(PlanChangedError, match="no longer the same direction") as caught:
        approved(change, to=goal, cost_share=100_000)
    assert caught.value.where == A
    assert caught.value.fix == "Plan again: trading-portfolio-rebalance --dry-run"
    assert f"was to change by {change}.00, at current prices by {goal - 10_000}.00" in caught.value.what


def test_an_exit_sells_what_there_is_however_much_that_is() -> None:
    assert approved(-1000, to=0, now=2000, target_bp=0) == (0, "")
    assert approved(-1000, to=0, now=500, target_bp=0) == (0, "")
    assert approved(-1000, to=0, now=0, target_bp=0) == (0, "")


def test_a_goal_of_nothing_that_was_not_approved_as_an_exit_is_held_to_the_band() -> None:
    assert approved(-9_000, to=0, target_bp=100)[0] == 550


# --- whatever the numbers --------------------------------------------------------------------------------

IDS = (A, B, C, D)
SHARES = st.fractions(0, 5000, max_denominator=50)
CAPITAL = st.fractions(0, 40_000, max_denominator=20)


@st.composite
def fittings(draw: st.DrawFn) -> dict[str, object]:
    """Nested ceilings, as the limits are: each alone, disjoint clusters, all together."""
    now = {key: draw(CAPITAL) for key in IDS}
    total = sum(now.values(), F(0)) + draw(st.fractions(1, 100_000, max_denominator=20))
    changed = draw(st.lists(st.sampled_from(IDS), unique=True))
    clusters = [IDS[:2], IDS[2:]] if draw(st.booleans()) else [IDS[:3]]
    return {
        "wanted": {key: draw(SHARES) for key in changed},
        "now": Exposure(capital=now, total=total),
        "worst_total": total * draw(st.fractions(F(9, 10), 1, max_denominator=1000)),
        "ceilings": [
            *(at_most(draw(st.integers(1000, 5000)), key) for key in IDS),
            *(at_most(draw(st.integers(1500, 5000)), *group) for group in clusters),
            at_most(draw(st.integers(2000, 9000)), *IDS),
        ],
        "minimum_bp": draw(st.sampled_from([0, 1, 100, 250])),
    }


@settings(max_examples=200)
@given(fittings())
def test_fitting_only_lowers_and_meets_every_ceiling_that_it_does_not_name(given_: dict[str, object]) -> None:
    made = fitting(**given_)  # type: ignore[arg-type]
    wanted, now, total = given_["wanted"], given_["now"], given_["worst_total"]
    free = fitting(**{**given_, "ceilings": []}).capital  # type: ignore[arg-type]
    assert set(made.capital) == set(wanted)  # type: ignore[call-overload]
    for key, money in made.capital.items():
        least = given_["minimum_bp"] * now.total / BP if wanted[key] > 0 else 0  # type: ignore
        assert least <= money <= free[key]
        assert free[key] == max(least, wanted[key] * total / BP)  # type: ignore
    for members, bp in given_["ceilings"]:  # type: ignore[attr-defined]
        held = sum((made.capital.get(key, now.capital[key]) for key in members), F(0))  # type: ignore
        assert ((members, bp) in made.unmet) or held * BP <= bp * total, (members, bp)


@settings(max_examples=200)
@given(fittings())
def test_fitting_what_was_fitted_changes_nothing(given_: dict[str, object]) -> None:
    made = fitting(**given_)  # type: ignore[arg-type]
    total = given_["worst_total"]
    again = {key: money * BP / total for key, money in made.capital.items()}  # type: ignore
    assert fitting(**{**given_, "wanted": again}) == made  # type: ignore[arg-type]


def between_two_kinks(
    values: Mapping[str, Fraction], room: Fraction, floors: Mapping[str, Fraction]
) -> dict[str, Fraction] | None:
    """The sum grows in straight lines that bend where a floor is left behind: find the one with the room."""

    def at(factor: Fraction) -> dict[str, Fraction]:
        return {key: max(floors[key], factor * value) if value else F(0) for key, value in values.items()}

    def held(factor: Fraction) -> Fraction:
        return sum(at(factor).values(), F(0))

    if held(F(0)) > room:
        return None
    bends = sorted({F(0), F(1), *(floors[key] / value for key, value in values.items() if value)})
    for below, above in pairwise(bends):
        if held(above) > room:
            return at(below + (room - held(below)) * (above - below) / (held(above) - held(below)))
    return at(F(1))


@settings(max_examples=200)
@given(
    values=st.lists(st.fractions(0, 50, max_denominator=10), min_size=1, max_size=5),
    shares=st.lists(st.fractions(0, 1, max_denominator=10), min_size=5, max_size=5),
    room=st.fractions(-5, 120, max_denominator=10),
)
def test_scaling_finds_the_largest_factor_that_fits(
    values: list[Fraction], shares: list[Fraction], room: Fraction
) -> None:
    keyed = {f"STR-{place}": value for place, value in enumerate(values)}
    floors = {key: value * share for (key, value), share in zip(keyed.items(), shares, strict=False)}
    made = scaled_to_fit(keyed, room=room, floors=floors)
    assert made == between_two_kinks(keyed, room, floors)
    assert made is None or sum(made.values(), F(0)) <= room


@settings(max_examples=200)
@given(
    change=st.fractions(-1000, 1000, max_denominator=100) | st.fractions(-1, 1, max_denominator=100),
    approval=st.fractions(-1000, 1000, max_denominator=100) | st.fractions(-1, 1, max_denominator=100),
    cost_share=st.fractions(0, 100, max_denominator=100),
)
def test_what_comes_out_is_within_what_was_approved_or_refused(
    change: Fraction, approval: Fraction, cost_share: Fraction
) -> None:
    wanted = Wanted(strategy=A, target_bp=F(1000), approved=approval)
    try:
        goal, note = require_approved(wanted, now=F(5000), goal=5000 + change, cost_share=cost_share)
    except PlanChangedError:
        assert change * approval <= 0
        return
    assert change * approval > 0
    assert (goal - 5000) * approval >= 0, "narrowed to the other side"
    sized = abs(goal - 5000)
    assert abs(approval) * F("0.95") - cost_share <= sized <= abs(approval) * F("1.05") + cost_share
    assert (goal == 5000 + change) is (note == "")
    assert goal == 5000 + change or sized in (
        abs(approval) * F("0.95") - cost_share,
        abs(approval) * F("1.05") + cost_share,
    )
