"""Fault scripts: read strictly, and done by the paper venue to the letter, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_venues import BTC, CASH, ETH, OTHER_BTC, D, buy, fund, open_venue, rows, sell

from portfolio_rebalance.errors import BadDataError, UnsafePathError, UsageError
from portfolio_rebalance.execution.broker import OrderRefused, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.faults import FAULTS, Fault, FaultScript, load_faults
from portfolio_rebalance.execution.paper import PaperVenue

DOCS = Path(__file__).resolve().parents[2] / "docs/paper-broker.md"
KINDS = (
    "refuse", "timeout_before", "timeout_after", "disconnect", "duplicate_report", "late",
    "partial", "slow_fill", "price_jump", "price_jump_all",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


# --- reading a script --------------------------------------------------------------------------------------


def test_a_script_is_read_as_it_is_written() -> None:
    script = FaultScript.parse("2:timeout_after, 3:partial=0.4, 5:price_jump=-3%, 7+:refuse")
    assert script.entries == (
        Fault(order=2, kind="timeout_after"),
        Fault(order=3, kind="partial", amount=D("0.4")),
        Fault(order=5, kind="price_jump", amount=D(-3)),
        Fault(order=7, kind="refuse", later_too=True),
    )
    assert str(script) == "2:timeout_after, 3:partial=0.4, 5:price_jump=-3%, 7+:refuse"


def test_lines_commas_spaces_and_comments_are_alike() -> None:
    text = "# mine\n 3 : partial = 0.40 , # 40 %\r\n\n2:timeout_after,,5:price_jump=-3.0%\n# 1:refuse"
    assert str(FaultScript.parse(text)) == "2:timeout_after, 3:partial=0.4, 5:price_jump=-3%"
    assert FaultScript.parse(text) == FaultScript.parse("2:timeout_after,3:partial=0.4,5:price_jump=-3%")


@pytest.mark.parametrize("text", ["", " \n", "# nothing", ","])
def test_nothing_is_a_script_without_faults(text: str) -> None:
    script = FaultScript.parse(text)
    assert not script
    assert str(script) == ""
    assert FaultScript.parse("1:refuse")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("1:disconnect", "1:disconnect=2"),
        ("1:slow_fill", "1:slow_fill=3"),
        ("1:late", "1:late=2"),
        ("1:price_jump=3%", "1:price_jump=+3%"),
    ],
)
def test_what_is_left_out_is_written_out(short: str, long: str) -> None:
    assert str(FaultScript.parse(short)) == long
    assert FaultScript.parse(short) == FaultScript.parse(long)


_COUNTS = st.integers(1, 9).map(Decimal)
_PERCENTS = st.integers(-9900, 90_000).filter(bool).map(lambda bp: Decimal(bp) / 100)
_FAULTS = st.one_of(
    st.tuples(st.sampled_from(["refuse", "timeout_before", "timeout_after", "duplicate_report"]), st.none()),
    st.tuples(st.sampled_from(["disconnect", "slow_fill"]), _COUNTS),
    st.tuples(st.just("late"), st.integers(1, 3).map(Decimal)),
    st.tuples(st.just("partial"), st.integers(1, 999_999).map(lambda parts: Decimal(parts) / 1_000_000)),
    st.tuples(st.sampled_from(["price_jump", "price_jump_all"]), _PERCENTS),
)


@given(
    st.lists(
        st.builds(
            lambda order, later_too, fault: Fault(
                order=order, later_too=later_too, kind=fault[0], amount=fault[1]
            ),
            st.integers(1, 999_999),
            st.booleans(),
            _FAULTS,
        ),
        unique_by=lambda fault: (fault.order, fault.later_too, fault.group),
        max_size=8,
    )
)
def test_every_script_survives_being_written(faults: list[Fault]) -> None:
    script = FaultScript.parse("\n".join(map(str, faults)))
    assert sorted(map(str, script.entries)) == sorted(map(str, faults))
    assert FaultScript.parse(str(script)) == script
    assert set(script.entries) == set(faults)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("refuse", "`refuse` is not a fault of an order"),
        ("0:refuse", "`0:refuse` is not"),
        ("-1:refuse", "is not a fault"),
        ("1:refused", "`1:refused` is not"),
        ("1:Refuse", "is not a fault"),
        ("1:crash", "`1:crash` is not"),
        ("1-2:refuse", "is not a fault"),
        ("1:refuse 2:refuse", "is not a fault"),
        ("1:refuse;2:refuse", "is not a fault"),
        ("٣:refuse", "is not a fault"),
        ("1:refuse=1", "`refuse` takes no amount"),
        ("1:timeout_after=2", "takes no amount"),
        ("1:partial", "`partial` needs another amount than none"),
        ("1:partial=40%", "`partial` needs another amount than 40%"),
        ("1:partial=0", "needs another amount"),
        ("1:partial=0.0", "needs another amount"),
        ("1:partial=1", "needs another amount"),
        ("1:partial=1.5", "needs another amount"),
        ("1:partial=0.12345678", "needs another amount"),
        ("1:slow_fill=0", "needs another amount"),
        ("1:slow_fill=10", "needs another amount"),
        ("1:slow_fill=2.5", "needs another amount"),
        ("1:slow_fill=", "is not a fault"),
        ("1:late=4", "`late` needs another amount than 4"),
        ("1:price_jump", "needs another amount than none"),
        ("1:price_jump=-3", "needs another amount than -3"),
        ("1:price_jump=0%", "needs another amount"),
        ("1:price_jump=-100%", "needs another amount"),
        ("1:price_jump=901%", "needs another amount"),
        ("1:price_jump=nan%", "needs another amount"),
        ("1:price_jump_all=1e2%", "needs another amount"),
        ("2:refuse, 2:late", "2:refuse and 2:late=2 cannot both happen"),
        ("2:refuse, 2:refuse", "cannot both happen"),
        ("2+:partial=0.5, 2+:slow_fill", "cannot both happen"),
        ("2:price_jump=1%, 2:price_jump_all=1%", "cannot both happen"),
    ],
)
def test_what_is_no_fault_is_refused_naming_what_is(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)) as refused:
        FaultScript.parse(f"# first line\n1:price_jump_all=1%\n{text}", where="script")
    if "another amount" in why:
        assert f"Write {text[2:].partition('=')[0]}=" in refused.value.fix
    elif "is not a fault" in why:
        assert all(kind in refused.value.fix for kind in KINDS)
    assert refused.value.where == "script:3"


def test_one_order_may_have_a_price_a_fill_and_an_answer_fault() -> None:
    found = FaultScript.parse("2:price_jump=-3%, 2:partial=0.4, 2:timeout_after").at(2)
    assert (str(found.price), str(found.fill), str(found.answer)) == (
        "2:price_jump=-3%",
        "2:partial=0.4",
        "2:timeout_after",
    )


def test_a_fault_of_one_order_alone_comes_before_those_of_all_later_ones() -> None:
    script = FaultScript.parse("2+:refuse, 4:timeout_after, 6+:late=1, 6:disconnect=1, 3+:partial=0.5")
    answers = [str(script.at(order).answer) for order in range(1, 9)]
    assert answers == [
        "None",
        "2+:refuse",
        "2+:refuse",
        "4:timeout_after",
        "2+:refuse",
        "6:disconnect=1",
        "6+:late=1",
        "6+:late=1",
    ]
    assert [script.at(order).fill is not None for order in range(1, 5)] == [False, False, True, True]


# --- the file of a workspace -------------------------------------------------------------------------------


def _write(root: Path, text: str) -> Path:
    path = root / FAULTS
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_workspace_without_the_file_has_no_faults(root: Path) -> None:
    assert load_faults(root) == FaultScript()


def test_the_file_is_the_script(root: Path) -> None:
    _write(root, "# rehearse a lost answer\n2:timeout_after\n3:partial=0.4, 5:price_jump=-3%\n")
    assert str(load_faults(root)) == "2:timeout_after, 3:partial=0.4, 5:price_jump=-3%"


def test_what_is_wrong_in_the_file_is_named_with_its_line(root: Path) -> None:
    _write(root, "# a comment\n2:timeout_after\n3:partial\n")
    with pytest.raises(BadDataError, match="`partial` needs another amount") as refused:
        load_faults(root)
    assert refused.value.where == f"{root.name}/{FAULTS}:3"
    assert refused.value.fix == "Write partial=0.4 (above 0, below 1)."


def test_a_link_is_not_followed(root: Path) -> None:
    (root / "outside.txt").write_text("1:refuse")
    _write(root, "").unlink()
    (root / FAULTS).symlink_to(root / "outside.txt")
    with pytest.raises(UnsafePathError):
        load_faults(root)


def test_every_script_of_the_documentation_is_one() -> None:
    text = DOCS.read_text("utf-8")
    blocks = re.findall(r"```faults\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    assert all(FaultScript.parse(block) for block in blocks)
    named = set(re.findall(r"^\| `([a-z_]+)", text, re.MULTILINE))
    assert named == set(KINDS)


# --- what the venue does -----------------------------------------------------------------------------------


def _unknown(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except OutcomeUnknown:
        return True
    return False


def _filled(quantity: str, change: str, *, state: str = "filled", client_id: str = "a") -> OrderReport:
    bought = D(quantity)
    return OrderReport(
        client_id=client_id,
        state=state,  # type: ignore[arg-type]
        filled=bought,
        average_price=D(8300) if bought else None,
        asset_change=bought,
        cash_change=D(change),
        commission=D(0),
    )


def _held(venue: PaperVenue) -> tuple[Decimal, Decimal]:
    """Cash, and BTC of the account that trades."""
    found = venue.balances()
    return found.cash, found.quantities.get(BTC, D(0))


UNTOUCHED = (CASH, D("0.5"))
BOUGHT = (CASH - D("747"), D("0.59"))
ORDER = buy("a", "0.09")  # 747 at 8300


def test_refuse_is_definite_and_leaves_no_order(root: Path) -> None:
    with open_venue(root, faults="1:refuse") as venue:
        fund(venue)
        with pytest.raises(OrderRefused, match="fault script"):
            venue.place(ORDER)
        assert venue.find(ORDER) is None
        assert _held(venue) == UNTOUCHED
        assert venue.place(ORDER) == _filled("0.09", "-747")


def test_refuse_for_all_later_orders_never_ends(root: Path) -> None:
    with open_venue(root, faults="2+:refuse") as venue:
        fund(venue)
        assert venue.place(ORDER) == _filled("0.09", "-747")
        for client_id in "bcd":
            with pytest.raises(OrderRefused):
                venue.place(buy(client_id, "0.09"))
        assert _held(venue) == BOUGHT


def test_timeout_before_never_arrives(root: Path) -> None:
    with open_venue(root, faults="1:timeout_before") as venue:
        fund(venue)
        with pytest.raises(OutcomeUnknown):
            venue.place(ORDER)
        assert [venue.find(ORDER) for _ in range(4)] == [None] * 4
        assert _held(venue) == UNTOUCHED


def test_timeout_after_is_filled_all_the_same(root: Path) -> None:
    with open_venue(root, faults="1:timeout_after") as venue:
        fund(venue)
        with pytest.raises(OutcomeUnknown):
            venue.place(ORDER)
        assert _held(venue) == BOUGHT
        assert venue.find(ORDER) == _filled("0.09", "-747")
        assert venue.times_executed() == {"a": 1}


def test_an_order_sent_again_blindly_after_a_timeout_is_bought_twice(root: Path) -> None:
    with open_venue(root, faults="1:timeout_after") as venue:
        fund(venue)
        with pytest.raises(OutcomeUnknown):
            venue.place(ORDER)
        venue.place(ORDER)
        assert venue.times_executed() == {"a": 2}
        assert _held(venue) == (CASH - 2 * 747, D("0.68"))


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_after_a_disconnect_so_many_calls_of_any_kind_get_no_answer(root: Path, calls: int) -> None:
    with open_venue(root, faults=f"1:disconnect={calls}") as venue:
        fund(venue)
        with pytest.raises(OutcomeUnknown):
            venue.place(ORDER)
        assert _held(venue) == BOUGHT  # accepted
        asked = [
            lambda: venue.find(ORDER),
            venue.holdings,
            lambda: venue.markets([BTC]),
            lambda: venue.place(buy("b", "0.09")),
            lambda: venue.cancel(ORDER),
        ]
        assert [_unknown(ask) for ask in asked] == [number < calls for number in range(5)]
        assert venue.find(ORDER) == _filled("0.09", "-747")
        assert venue.times_executed() == ({"a": 1, "b": 1} if calls <= 3 else {"a": 1})


def test_an_order_that_a_dead_line_swallows_is_not_counted(root: Path) -> None:
    with open_venue(root, faults="1:disconnect=1, 2:refuse") as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
        assert _unknown(lambda: venue.place(buy("b", "0.09")))
        with pytest.raises(OrderRefused):  # the second that it receives
            venue.place(buy("b", "0.09"))


def test_a_duplicate_report_repeats_a_part_before_it_tells_the_whole(root: Path) -> None:
    with open_venue(root, faults="1:duplicate_report") as venue:
        fund(venue)
        half = _filled("0.045", "-373.5", state="open")
        assert venue.place(ORDER) == half
        assert _held(venue) == BOUGHT  # filled already: only the news is old
        assert venue.find(ORDER) == half
        whole = _filled("0.09", "-747")
        assert [venue.find(ORDER), venue.find(ORDER)] == [whole, whole]
        assert venue.times_executed() == {"a": 1}
        assert _held(venue) == BOUGHT


def test_partial_fills_a_share_in_whole_lots_and_closes_the_rest(root: Path) -> None:
    with open_venue(root, faults="1:partial=0.4, 2:partial=0.5") as venue:
        fund(venue)
        report = _filled("0.036", "-298.8", state="closed")
        assert venue.place(ORDER) == report
        assert venue.find(ORDER) == report
        assert _held(venue) == (D("9701.2"), D("0.536"))
        assert venue.place(buy("b", "0.00000003")).filled == D("0.00000001")


def test_partial_of_one_lot_is_nothing(root: Path) -> None:
    with open_venue(root, faults="1:partial=0.9") as venue:
        fund(venue)
        assert venue.place(buy("a", "0.00000001")) == _filled("0", "0", state="closed")
        assert venue.fills() == ()


def test_slow_fill_fills_a_part_at_each_look_up(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3") as venue:
        fund(venue)
        reports = [venue.place(ORDER), *(venue.find(ORDER) for _ in range(4))]
        assert reports == [
            _filled("0", "0", state="open"),
            _filled("0.03", "-249", state="open"),
            _filled("0.06", "-498", state="open"),
            _filled("0.09", "-747"),
            _filled("0.09", "-747"),
        ]
        assert _held(venue) == BOUGHT
        assert [fill.quantity for fill in venue.fills()] == [D("0.03")] * 3
        assert venue.times_executed() == {"a": 1}


def test_parts_of_a_slow_fill_are_whole_lots_and_lose_none(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=4") as venue:
        fund(venue)
        order = buy("a", "0.00000006")
        venue.place(order)
        for _ in range(4):
            venue.find(order)
        assert [fill.quantity for fill in venue.fills()] == [D("1e-8"), D("1e-8"), D("2e-8"), D("2e-8")]


def test_what_fills_slowly_can_be_cancelled(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3") as venue:
        fund(venue)
        venue.place(ORDER)
        venue.find(ORDER)
        venue.cancel(ORDER)
        assert venue.find(ORDER) == _filled("0.03", "-249", state="closed")
        assert venue.find(ORDER) == _filled("0.03", "-249", state="closed")


def test_a_slow_fill_stops_where_the_price_leaves_the_limit(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3") as venue:
        fund(venue)
        order = buy("a", "0.09", limit="8300")
        venue.place(order)
        venue.find(order)
        venue.set_marks({BTC: D("8300.1")})
        assert venue.find(order) == _filled("0.03", "-249", state="closed")


def test_a_slow_fill_stops_where_the_cash_ends(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3") as venue:
        fund(venue, cash=D(747))
        venue.place(ORDER)
        venue.find(ORDER)
        venue.set_marks({BTC: D(8400)})
        venue.find(ORDER)
        report = venue.find(ORDER)
        assert report is not None
        assert (report.state, report.filled, report.cash_change) == ("closed", D("0.06"), D(-501))
        assert report.average_price == D(8350)
        assert venue.balances().cash == 246


def test_an_average_price_of_several_fills_is_rounded_against_us(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3, 2:slow_fill=3") as venue:
        fund(venue)
        orders = (buy("a", "0.03"), sell("b", "0.03"))
        for order in orders:
            venue.place(order)
        for mark in ("8300", "8300", "8301"):
            venue.set_marks({BTC: D(mark)})
            reports = [venue.find(order) for order in orders]
        assert [report.average_price for report in reports if report] == [
            D("8300.333333333334"),
            D("8300.333333333333"),
        ]


@pytest.mark.parametrize("polls", [1, 2, 3])
def test_a_late_order_is_there_from_that_look_up_on(root: Path, polls: int) -> None:
    with open_venue(root, faults=f"1:late={polls}") as venue:
        fund(venue)
        with pytest.raises(OutcomeUnknown):
            venue.place(ORDER)
        for _ in range(polls - 1):
            assert venue.find(ORDER) is None
            assert _held(venue) == UNTOUCHED
            venue.cancel(ORDER)  # it has not arrived
        assert venue.find(ORDER) == _filled("0.09", "-747")
        assert _held(venue) == BOUGHT


def test_a_late_order_that_finds_no_cash_any_more_is_never_there(root: Path) -> None:
    with open_venue(root, faults="1:late=2") as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
        venue.place(buy("b", "1.2"))
        assert [venue.find(ORDER) for _ in range(4)] == [None] * 4
        assert venue.times_executed() == {"b": 1}


def test_a_late_order_pays_with_what_is_there_when_it_arrives(root: Path) -> None:
    with open_venue(root, faults="1:late=1") as venue:
        fund(venue, cash=D(0))
        assert _unknown(lambda: venue.place(ORDER))
        venue.place(sell("b", "0.1"))
        assert venue.find(ORDER) == _filled("0.09", "-747")
        assert venue.balances().cash == 83


def test_an_order_that_would_be_refused_is_only_unknown_when_the_answer_is_lost(root: Path) -> None:
    with open_venue(root, faults="1+:timeout_after, 2:disconnect=1, 3:late=1") as venue:
        fund(venue)
        for client_id in "abc":
            order = buy(client_id, "0.000000001")  # below a lot
            assert _unknown(lambda order=order: venue.place(order))
            if client_id == "b":
                assert _unknown(venue.holdings)
            assert venue.find(order) is None
        assert _held(venue) == UNTOUCHED


def test_a_price_jump_moves_one_asset_in_every_account_right_before_matching(root: Path) -> None:
    with open_venue(root, faults="2:price_jump=-3%") as venue:
        fund(venue)
        assert venue.place(buy("a", "0.01")).average_price == 8300
        assert venue.place(sell("b", "0.01", limit="8051")).average_price == 8051
        assert {place: one.price for place, one in venue.markets([BTC, ETH, OTHER_BTC]).items()} == {
            BTC: D(8051),
            ETH: D(180),
            OTHER_BTC: D(8051),
        }


def test_a_price_jump_can_leave_an_order_unfilled(root: Path) -> None:
    with open_venue(root, faults="1:price_jump=+0.5%") as venue:
        fund(venue)
        assert venue.place(buy("a", "0.09", limit="8341")) == _filled("0", "0", state="closed")
        assert venue.markets([BTC])[BTC].price == D("8341.5")


def test_a_price_jump_of_all_moves_all(root: Path) -> None:
    with open_venue(root, faults="1:price_jump_all=+10%") as venue:
        fund(venue)
        assert venue.place(buy("a", "0.01", limit="9130")).average_price == 9130
        assert {place: one.price for place, one in venue.markets([BTC, ETH, OTHER_BTC]).items()} == {
            BTC: D(9130),
            ETH: D(198),
            OTHER_BTC: D(9130),
        }


def test_no_price_falls_to_nothing(root: Path) -> None:
    with open_venue(root, faults="1+:price_jump=-99%") as venue:
        fund(venue)
        for number in range(12):
            venue.place(sell(str(number), "0.00000001"))
        assert venue.markets([BTC])[BTC].price == D("1e-12")


def test_faults_of_price_fill_and_answer_happen_together(root: Path) -> None:
    with open_venue(root, faults="1:price_jump=-50%, 1:partial=0.5, 1:timeout_after") as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
        report = venue.find(ORDER)
        assert report is not None
        assert (report.state, report.filled, report.average_price) == ("closed", D("0.045"), D(4150))


# --- used up for good --------------------------------------------------------------------------------------


def test_what_is_used_up_stays_used_up_in_the_next_process(root: Path) -> None:
    script = "1:timeout_before, 2:disconnect=4, 3:refuse"
    with open_venue(root, faults=script) as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
    with open_venue(root, faults=script) as venue:
        assert _unknown(lambda: venue.place(ORDER))
        assert _unknown(venue.holdings)
    with open_venue(root) as venue:  # whoever says nothing leaves it armed
        assert _unknown(venue.holdings)
    with open_venue(root, faults=script) as venue:
        assert _unknown(lambda: venue.find(ORDER))
        assert _unknown(lambda: venue.find(ORDER))
        assert venue.find(ORDER) == _filled("0.09", "-747")
    with open_venue(root) as venue, pytest.raises(OrderRefused, match="fault script"):
        venue.place(buy("b", "0.09"))
    with open_venue(root, faults=script) as venue:
        assert venue.place(buy("b", "0.09")).state == "filled"


def test_the_same_script_in_other_words_is_the_same(root: Path) -> None:
    with open_venue(root, faults="1:refuse, 2:late") as venue:
        fund(venue)
        with pytest.raises(OrderRefused):
            venue.place(ORDER)
    with open_venue(root, faults="# again\n2:late=2\n1:refuse") as venue:
        assert _unknown(lambda: venue.place(ORDER))


def test_another_script_begins_anew_and_an_empty_one_disarms(root: Path) -> None:
    with open_venue(root, faults="1:disconnect=9") as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
    with open_venue(root, faults="1:refuse") as venue:
        assert venue.find(ORDER) == _filled("0.09", "-747")  # the line is back
        with pytest.raises(OrderRefused):
            venue.place(buy("b", "0.09"))
    with open_venue(root, faults="1+:refuse"), open_venue(root, faults="") as venue:
        assert venue.place(buy("b", "0.09")).state == "filled"


def test_slow_and_late_orders_go_on_in_the_next_process(root: Path) -> None:
    with open_venue(root, faults="1:slow_fill=3, 2:late=2, 3:duplicate_report") as venue:
        fund(venue)
        venue.place(ORDER)
        venue.find(ORDER)
        assert _unknown(lambda: venue.place(buy("b", "0.09")))
        assert venue.find(buy("b", "0.09")) is None
        venue.place(buy("c", "0.09"))
    with open_venue(root, faults="") as venue:
        assert venue.find(ORDER) == _filled("0.06", "-498", state="open")
        assert venue.find(buy("b", "0.09")) == _filled("0.09", "-747", client_id="b")
        assert venue.find(buy("c", "0.09")) == _filled("0.045", "-373.5", state="open", client_id="c")
        assert venue.find(buy("c", "0.09")) == _filled("0.09", "-747", client_id="c")


def test_looking_at_balances_and_fills_uses_nothing_up(root: Path) -> None:
    with open_venue(root, faults="1:disconnect=1") as venue:
        fund(venue)
        assert _unknown(lambda: venue.place(ORDER))
        before = rows(root)
        venue.balances()
        venue.fills()
        venue.times_executed()
        assert rows(root) == before
        assert _unknown(venue.holdings)
