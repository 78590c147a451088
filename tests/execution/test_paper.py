"""The paper venue: exact money, and a memory of its own."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import pytest
from paper_venues import (
    BOOKS,
    BTC,
    CASH,
    ETH,
    MARKS,
    NOW,
    OTHER_BTC,
    D,
    buy,
    fund,
    open_venue,
    rows,
    sell,
    slippage,
)

from portfolio_rebalance.errors import BadDataError, BrokerError, UsageError
from portfolio_rebalance.execution.broker import Holdings, Order, OrderRefused, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.paper import PAPER, AssetRules, PaperVenue
from portfolio_rebalance.records import Market, StrategyBook


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def venue(root: Path) -> Iterator[PaperVenue]:
    with open_venue(root) as opened:
        fund(opened)
        yield opened


# --- fills -------------------------------------------------------------------------------------------------


def test_a_buy_costs_quantity_times_mark_and_commission_to_the_last_digit(root: Path) -> None:
    with open_venue(root, commission_bps=D(5)) as venue:
        fund(venue)
        report = venue.place(buy("a", "0.1"))
        assert report == OrderReport(
            client_id="a",
            state="filled",
            filled=D("0.1"),
            average_price=D(8300),
            asset_change=D("0.1"),
            cash_change=D("-830.415"),
            commission=D("0.415"),
        )
        assert venue.balances() == Holdings(
            cash=D("9169.585"), quantities={BTC: D("0.6"), ETH: D(-3), OTHER_BTC: D("0.25")}
        )
        assert venue.holdings() == venue.balances()


def test_a_sale_brings_quantity_times_mark_less_commission(root: Path) -> None:
    with open_venue(root, commission_bps=D(5)) as venue:
        fund(venue)
        report = venue.place(sell("a", "0.1"))
        assert (report.state, report.asset_change, report.cash_change) == ("filled", D("-0.1"), D("829.585"))
        assert venue.balances().cash == D("10829.585")
        assert venue.balances().quantities[BTC] == D("0.4")


def test_more_than_is_held_can_be_sold_and_bought_back(venue: PaperVenue) -> None:
    venue.place(sell("a", "0.7"))
    assert venue.balances().quantities[BTC] == D("-0.2")
    venue.place(buy("b", "0.2"))
    assert BTC not in venue.balances().quantities
    assert venue.balances().cash == CASH + D("0.5") * 8300


@pytest.mark.parametrize("seed", ["", "one", "two"])
@pytest.mark.parametrize("client_id", ["a", "b", "plan-0003"])
def test_slippage_is_what_seed_and_client_id_decide(root: Path, seed: str, client_id: str) -> None:
    bps = slippage(client_id, mean_bps="25", seed=seed)
    assert 15 <= bps <= 35
    with open_venue(root, slippage_bps=D(25), seed=seed) as venue:
        fund(venue)
        bought = venue.place(buy(client_id, "0.1"))
        sold = venue.place(sell(client_id, "0.1"))
    assert bought.average_price is not None
    assert sold.average_price is not None
    assert Fraction(bought.average_price) == ceil(8300 * (1 + bps / 10_000) * 10**12) * Fraction(1, 10**12)
    assert Fraction(sold.average_price) == floor(8300 * (1 - bps / 10_000) * 10**12) * Fraction(1, 10**12)


def test_draws_cover_the_range_around_the_mean() -> None:
    drawn = [slippage(f"id-{number}", mean_bps="10", seed="s") for number in range(2_000)]
    assert 6 <= min(drawn) < Fraction("6.02")
    assert Fraction("13.98") < max(drawn) <= 14
    assert Fraction("9.9") < sum(drawn) / 2_000 < Fraction("10.1")


def test_what_does_not_fit_the_places_of_money_is_rounded_against_us(root: Path) -> None:
    with open_venue(root, commission_bps=D(5)) as venue:
        fund(venue)
        venue.set_marks({BTC: D("0.333333333333")})
        bought = venue.place(buy("a", "0.00000001"))
        sold = venue.place(sell("b", "0.00000001", limit="0.1"))
    # 0.00000000333333333333 and 5 bp of it, 0.00000000000166...
    assert (bought.cash_change, bought.commission) == (D("-0.000000003336"), D("0.000000000002"))
    assert (sold.cash_change, sold.commission) == (D("0.000000003331"), D("0.000000000002"))


def test_no_context_of_decimal_rounds_what_is_long(root: Path) -> None:
    quantity, cash = D("123456789012345678.000000000000000001"), D("99999999999999.000000000001")
    held = StrategyBook(account="main", own_cash=D(0), quantities={"DUST": quantity})
    rules = {"DUST": AssetRules(lot=D("0.000000000000000001"))}
    with open_venue(root, rules=rules) as venue, localcontext() as context:
        context.prec = 6
        venue.adopt({"STR-1": held}, pool_cash=cash, marks={("main", "DUST"): D("0.01")})
        report = venue.place(
            sell("a", "23456789012345678.000000000000000001", limit="0.000000000001", asset="DUST")
        )
        after = venue.balances()
    assert after.quantities == {("main", "DUST"): D("100000000000000000")}
    assert report.cash_change == D("234567890123456.78")
    assert after.cash == D("334567890123455.780000000001")


@pytest.mark.parametrize(
    ("order", "state"),
    [
        (buy("a", "0.1", limit="8300"), "filled"),
        (buy("a", "0.1", limit="8299.999999999999"), "closed"),
        (sell("a", "0.1", limit="8300"), "filled"),
        (sell("a", "0.1", limit="8300.000000000001"), "closed"),
    ],
)
def test_no_fill_is_beyond_the_limit_price(venue: PaperVenue, order: Order, state: str) -> None:
    report = venue.place(order)
    assert report.state == state
    assert venue.find(order) == report
    if state == "closed":
        assert report == OrderReport(
            client_id="a",
            state="closed",
            filled=D(0),
            average_price=None,
            asset_change=D(0),
            cash_change=D(0),
            commission=D(0),
        )
        assert venue.balances() == Holdings(
            cash=CASH, quantities={BTC: D("0.5"), ETH: D(-3), OTHER_BTC: D("0.25")}
        )


def test_the_limit_holds_for_the_price_after_slippage(root: Path) -> None:
    worse = 8300 * (1 + slippage("a", mean_bps="25", seed="seed") / 10_000)
    price = D(ceil(worse * 10**12)).scaleb(-12)
    for number, (limit, state) in enumerate(((price, "filled"), (price - D("1e-12"), "closed"))):
        with open_venue(root / str(number), slippage_bps=D(25)) as venue:
            fund(venue)
            assert venue.place(buy("a", "0.1", limit=str(limit))).state == state


@pytest.mark.parametrize(("cash", "enough"), [("830.415", True), ("830.414999999999", False)])
def test_a_buy_needs_cash_for_price_and_commission(root: Path, cash: str, enough: bool) -> None:
    with open_venue(root, commission_bps=D(5)) as venue:
        fund(venue, cash=D(cash))
        before = rows(root)
        if enough:
            assert venue.place(buy("a", "0.1")).state == "filled"
            assert venue.balances().cash == 0
            return
        with pytest.raises(OrderRefused, match=r"needs 830\.415 in cash and there is 830\.414999999999"):
            venue.place(buy("a", "0.1"))
        assert venue.find(buy("a", "0.1")) is None
        after = rows(root)
        assert after.pop("venue") != before.pop("venue")  # it was received, and that is all
        assert after == before


def test_a_sale_needs_no_cash(root: Path) -> None:
    with open_venue(root) as venue:
        fund(venue, cash=D(-1000))
        assert venue.place(sell("a", "0.1")).state == "filled"
        assert venue.balances().cash == -170


def test_a_buy_beyond_its_limit_needs_cash_for_the_limit_only(root: Path) -> None:
    with open_venue(root) as venue:
        fund(venue, cash=D(820))
        assert venue.place(buy("a", "0.1", limit="8200")).state == "closed"
        with pytest.raises(OrderRefused, match=r"needs 820\.1 in cash"):
            venue.place(buy("b", "0.1", limit="8201"))


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (buy("a", "0"), "above 0"),
        (buy("a", "-1"), "above 0"),
        (buy("a", "NaN"), "above 0"),
        (buy("a", "0.1", limit="Infinity"), "above 0"),
        (buy("a", "0.1", limit="0"), "above 0"),
        (buy("a", "0.000000015"), "not a multiple of the lot 1E-8"),
        (buy("a", "1", asset="LTC"), "LTC has no price in account main"),
        (replace(buy("a", "1"), account="third"), "BTC has no price in account third"),
        (buy("a", "0.0011"), "minimum notional of 10"),
    ],
)
def test_orders_that_the_venue_never_takes(root: Path, order: Order, why: str) -> None:
    with open_venue(root, rules={"BTC": AssetRules(min_notional=D(10))}) as venue:
        fund(venue)
        with pytest.raises(OrderRefused, match=why):
            venue.place(order)
        assert venue.fills() == ()
        assert venue.find(order) is None


def test_the_least_that_may_be_ordered_is_judged_at_the_limit_price(root: Path) -> None:
    rules = {"BTC": AssetRules(lot=D("0.001"), min_notional=D(9))}
    with open_venue(root, rules=rules) as venue:
        fund(venue)
        assert venue.place(buy("a", "0.001", limit="9000")).state == "filled"
        with pytest.raises(OrderRefused, match="minimum notional"):
            venue.place(buy("b", "0.001", limit="8999"))
        with pytest.raises(OrderRefused, match="lot"):
            venue.place(buy("c", "0.0015"))


def test_the_place_of_a_fill_is_told(venue: PaperVenue) -> None:
    venue.place(buy("a", "0.1"))
    venue.place(sell("b", "0.2", limit="180", asset="ETH"))
    first, second = venue.fills()
    assert (first.client_id, first.account, first.asset, first.side) == ("a", "main", "BTC", "BUY")
    assert (first.quantity, first.price, first.cash_change) == (D("0.1"), D(8300), D(-830))
    assert (first.commission, first.at) == (D(0), NOW)
    assert (second.client_id, second.asset, second.side) == ("b", "ETH", "SELL")
    assert (second.quantity, second.price, second.cash_change) == (D("0.2"), D(180), D(36))


# --- client ids --------------------------------------------------------------------------------------------


def test_an_order_that_is_sent_again_after_it_was_filled_is_filled_again(venue: PaperVenue) -> None:
    venue.place(buy("a", "0.1"))
    venue.place(buy("b", "0.1"))
    venue.place(buy("a", "0.2"))
    assert venue.times_executed() == {"a": 2, "b": 1}
    assert venue.balances().quantities[BTC] == D("0.9")
    found = venue.find(buy("a", "0.1"))
    assert found is not None
    assert found.filled == D("0.2")  # the newest


def test_the_client_id_of_a_pending_order_is_refused(root: Path) -> None:
    for number, faults in enumerate(("1:slow_fill", "1:late")):
        with ExitStack() as opened:
            venue = opened.enter_context(open_venue(root / str(number), faults=faults))
            fund(venue)
            if faults == "1:late":
                with pytest.raises(OutcomeUnknown):
                    venue.place(buy("a", "0.1"))
            else:
                venue.place(buy("a", "0.1"))
            with pytest.raises(OrderRefused, match="client id a is that of a pending order"):
                venue.place(buy("a", "0.1"))
            assert venue.fills() == ()


def test_an_order_that_was_never_sent_is_not_found(venue: PaperVenue) -> None:
    venue.place(buy("a", "0.1"))
    assert venue.find(buy("b", "0.1")) is None


def test_cancelling_what_is_final_or_unknown_changes_nothing(venue: PaperVenue, root: Path) -> None:
    report = venue.place(buy("a", "0.1"))
    before = rows(root)
    venue.cancel(buy("a", "0.1"))
    venue.cancel(buy("b", "0.1"))
    assert rows(root) == before
    assert venue.find(buy("a", "0.1")) == report


# --- markets, marks, adoption ------------------------------------------------------------------------------


def test_markets_tell_mark_and_rules(root: Path) -> None:
    rules = {"ETH": AssetRules(lot=D("0.01"), min_notional=D(5))}
    with open_venue(root, commission_bps=D("7.5"), rules=rules) as venue:
        fund(venue)
        assert venue.markets([BTC, ETH]) == {
            BTC: Market(
                account="main",
                asset="BTC",
                price=D(8300),
                lot=D("0.00000001"),
                min_notional=D(0),
                commission_bps=D("7.5"),
            ),
            ETH: Market(
                account="main",
                asset="ETH",
                price=D(180),
                lot=D("0.01"),
                min_notional=D(5),
                commission_bps=D("7.5"),
            ),
        }
        with pytest.raises(OutcomeUnknown, match="no price of LTC in account main"):
            venue.markets([BTC, ("main", "LTC")])


def test_marks_move_one_instrument_at_a_time(venue: PaperVenue) -> None:
    venue.set_marks({BTC: D("8400.5")})
    quoted = {place: market.price for place, market in venue.markets(MARKS).items()}
    assert quoted == {BTC: D("8400.5"), ETH: D(180), OTHER_BTC: D(8300)}
    assert venue.place(buy("a", "0.1")).average_price == D("8400.5")


def test_adoption_nets_strategies_of_one_account_and_adds_all_cash(root: Path) -> None:
    books = {
        "STR-1": StrategyBook(account="main", own_cash=D("10.5"), quantities={"BTC": D(2), "ETH": D(1)}),
        "STR-2": StrategyBook(account="main", own_cash=D(-3), quantities={"BTC": D(-1), "ETH": D(-1)}),
        "STR-3": StrategyBook(account="second", own_cash=D(0), quantities={"BTC": D(4), "LTC": D(0)}),
    }
    with open_venue(root) as venue:
        fund(venue)
        venue.adopt(books, pool_cash=D(100), marks=MARKS)
        assert venue.balances() == Holdings(cash=D("107.5"), quantities={BTC: D(1), OTHER_BTC: D(4)})


def test_adopting_the_same_again_changes_nothing(venue: PaperVenue, root: Path) -> None:
    before = (root / f"{PAPER}-wal").read_bytes()
    fund(venue)
    venue.adopt(BOOKS, pool_cash=D("10000.00"), marks={**MARKS, BTC: D("8300.0")})
    assert (root / f"{PAPER}-wal").read_bytes() == before
    venue.adopt(BOOKS, pool_cash=CASH, marks={**MARKS, BTC: D(8301)})
    assert venue.markets([BTC])[BTC].price == 8301


def test_adoption_forgets_what_is_held_no_longer(venue: PaperVenue) -> None:
    venue.adopt({}, pool_cash=D(5), marks={BTC: D(1)})
    assert venue.balances() == Holdings(cash=D(5), quantities={})
    with pytest.raises(OutcomeUnknown):
        venue.markets([ETH])


@pytest.mark.parametrize("faults", ["1:slow_fill", "1:late"])
def test_nothing_is_adopted_while_an_order_is_pending(root: Path, faults: str) -> None:
    with open_venue(root, faults=faults) as venue:
        fund(venue)
        try:
            venue.place(buy("a", "0.3"))
        except OutcomeUnknown:
            assert faults == "1:late"
        before = rows(root)
        with pytest.raises(BrokerError, match="Order a is still pending"):
            venue.adopt({}, pool_cash=D(0), marks={})
        assert rows(root) == before
        for _ in range(3):
            venue.find(buy("a", "0.3"))
        venue.adopt({}, pool_cash=D(0), marks={})
        assert venue.balances().cash == 0


@pytest.mark.parametrize(
    ("pool_cash", "marks", "why"),
    [
        (D(1), {BTC: D(1), OTHER_BTC: D(1)}, "ETH of account main is held and has no price"),
        (D(1), {**MARKS, BTC: D(0)}, "0 is no price of BTC in account main"),
        (D(1), {**MARKS, BTC: D("NaN")}, "NaN is no price"),
        (D(1), {**MARKS, BTC: D("1.0000000000001")}, "more than 12 decimal places"),
        (D("0.0000000000001"), MARKS, "more than 12 decimal places"),
        (D("Infinity"), MARKS, "more than 12 decimal places"),
    ],
)
def test_what_cannot_be_adopted_is_refused_whole(
    venue: PaperVenue,
    root: Path,
    pool_cash: Decimal,
    marks: dict[tuple[str, str], Decimal],
    why: str,
) -> None:
    before = rows(root)
    with pytest.raises(BadDataError, match=why) as refused:
        venue.adopt(BOOKS, pool_cash=pool_cash, marks=marks)
    assert refused.value.where
    assert refused.value.fix
    assert rows(root) == before


def test_a_mark_that_is_none_is_refused(venue: PaperVenue, root: Path) -> None:
    before = rows(root)
    with pytest.raises(BadDataError, match="-1 is no price"):
        venue.set_marks({ETH: D(1), BTC: D(-1)})
    assert rows(root) == before


@pytest.mark.parametrize("name", ["slippage_bps", "commission_bps"])
@pytest.mark.parametrize("rate_bps", ["-1", "5001", "NaN"])
def test_rates_that_are_none_are_refused(root: Path, name: str, rate_bps: str) -> None:
    with pytest.raises(UsageError) as refused, open_venue(root, **{name: D(rate_bps)}):
        pass
    assert refused.value.where == name
    assert not (root / PAPER).exists()


# --- a memory of its own -----------------------------------------------------------------------------------


def test_a_new_venue_is_empty(root: Path) -> None:
    with open_venue(root) as venue:
        assert venue.balances() == Holdings(cash=D(0), quantities={})
        assert (venue.name, venue.live, venue.exact) == ("paper", False, True)


def test_everything_is_there_after_it_was_closed(root: Path) -> None:
    with open_venue(root, faults="2:slow_fill") as venue:
        fund(venue)
        first = venue.place(buy("a", "0.1"))
        venue.place(sell("b", "0.3"))
        venue.find(sell("b", "0.3"))
        before, filled = venue.balances(), venue.fills()
    with open_venue(root) as venue:
        assert venue.find(buy("a", "0.1")) == first
        assert venue.balances() == before
        assert venue.fills() == filled
        assert venue.markets([BTC])[BTC].price == 8300
        second = venue.find(sell("b", "0.3"))
        assert second is not None
        assert (second.state, second.filled) == ("open", D("0.2"))


def test_two_connections_are_at_one_venue(root: Path) -> None:
    with open_venue(root) as one, open_venue(root) as other:
        fund(one)
        one.place(buy("a", "0.1"))
        assert other.balances().quantities[BTC] == D("0.6")
        other.place(buy("a", "0.1"))
        assert one.times_executed() == {"a": 2}


def test_pragmas_are_what_durability_needs(venue: PaperVenue) -> None:
    connection = venue._store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_an_order_is_synced_before_it_is_answered_as_a_system_call_trace_shows(root: Path) -> None:
    trace = root / "trace.txt"
    script = (
        "import os, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2]); from paper_venues import buy, fund, open_venue\n"
        "with open_venue(Path(sys.argv[1])) as venue:\n"
        "    fund(venue)\n"
        "    for number in range(5):\n"
        "        os.write(2, b'place'); venue.place(buy(str(number), '0.1')); os.write(2, b'placed')\n"
    )
    command = [sys.executable, "-c", script, str(root), str(Path(__file__).parent)]
    try:
        subprocess.run(
            ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace), *command],
            check=True,
            capture_output=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no system-call trace on this machine")
    placed = trace.read_text().split('write(2, "place",')[1:]
    assert len(placed) == 5
    for calls in placed:
        assert "sync(" in calls.partition('write(2, "placed",')[0]


def test_what_fails_on_the_way_leaves_neither_order_nor_fill(venue: PaperVenue, root: Path) -> None:
    venue._store._connection.execute(
        "CREATE TRIGGER stop BEFORE INSERT ON fills BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    before = rows(root)
    with pytest.raises(OutcomeUnknown, match="disk is full"):
        venue.place(buy("a", "0.1"))
    assert rows(root) == before
    venue._store._connection.execute("DROP TRIGGER stop")
    assert venue.find(buy("a", "0.1")) is None
    assert venue.place(buy("a", "0.1")).state == "filled"


def test_a_file_that_does_not_answer_tells_nothing(venue: PaperVenue) -> None:
    venue._store._connection.execute("DROP TABLE marks")
    venue._store._connection.execute("UPDATE venue SET cash = 'lots'")
    with pytest.raises(OutcomeUnknown):
        venue.markets([BTC])
    with pytest.raises(OutcomeUnknown):
        venue.holdings()
    with pytest.raises(OutcomeUnknown):
        venue.find(buy("a", "0.1"))
    with pytest.raises(BrokerError):
        venue.balances()


# --- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("way", ["symlink", "hardlink", "folder"])
def test_a_file_that_could_lead_outside_is_refused(root: Path, end: str, way: str) -> None:
    outside = root / "outside"
    outside.write_bytes(b"theirs")
    place = root / f"{PAPER}{end}"
    place.parent.mkdir()
    if way == "symlink":
        place.symlink_to(outside)
    elif way == "hardlink":
        os.link(outside, place)
    else:
        place.mkdir()
    with pytest.raises(BrokerError, match="link or not what it should be") as refused, open_venue(root):
        pass
    assert refused.value.where == f"paper.db{end}"
    assert outside.read_bytes() == b"theirs"


def test_a_folder_that_leads_outside_is_refused(root: Path) -> None:
    (root / "outside").mkdir()
    (root / "portfolio-rebalance").symlink_to(root / "outside")
    with pytest.raises(BrokerError, match="portfolio-rebalance is a link"), open_venue(root):
        pass
    assert list((root / "outside").iterdir()) == []


def test_a_file_of_another_version_is_refused_and_left_alone(root: Path) -> None:
    with open_venue(root):
        pass
    with closing(sqlite3.connect(root / PAPER)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = rows(root)
    with pytest.raises(BrokerError, match="schema version 2; this version reads 1"), open_venue(root):
        pass
    assert rows(root) == before


@pytest.mark.parametrize("version", [0, 1])
def test_another_programs_database_is_refused_and_left_alone(root: Path, version: int) -> None:
    (root / PAPER).parent.mkdir()
    with closing(sqlite3.connect(root / PAPER)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute(f"PRAGMA user_version = {version}")
    before = (root / PAPER).read_bytes()
    with pytest.raises(BrokerError, match="another program's"), open_venue(root):
        pass
    assert (root / PAPER).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "why"), [(b"SQLite", "cut off"), (b"not a database" * 100, "cannot be used")]
)
def test_what_is_no_database_is_refused_and_left_alone(root: Path, content: bytes, why: str) -> None:
    (root / PAPER).parent.mkdir()
    (root / PAPER).write_bytes(content)
    with pytest.raises(BrokerError, match=why), open_venue(root):
        pass
    assert (root / PAPER).read_bytes() == content


# --- a second opinion --------------------------------------------------------------------------------------


def _random_order(rng: random.Random, number: int) -> Order:
    side = rng.choice(["BUY", "SELL"])
    instrument = rng.choice([BTC, ETH, OTHER_BTC])
    mark = MARKS[instrument]
    return Order(
        client_id=f"{rng.randrange(4)}-{number}",
        account=instrument[0],
        asset=instrument[1],
        side=side,
        quantity=D(rng.randrange(1, 10**9)).scaleb(-8) * (1 if instrument != ETH else 40),
        limit_price=(mark * (D(1) + D(rng.randrange(-30, 80)) / 10_000 * (1 if side == "BUY" else -1))),
    )


def _walk(root: Path, seed: int, *, orders: int, reopen: bool) -> set[str]:
    """Random orders; balances followed with nothing but fractions and the documented formulas.

    Returns:
        What became of them.
    """
    rng = random.Random(seed)
    mean, fee_bps = rng.choice(["0", "25", "12.5"]), rng.choice(["0", "5", "7.3"])
    terms = {"slippage_bps": D(mean), "commission_bps": D(fee_bps), "seed": f"walk-{seed}"}
    cash = Fraction(20_000)
    held = {BTC: Fraction(1, 2), ETH: Fraction(-3), OTHER_BTC: Fraction(1, 4)}
    money = Fraction(1, 10**12)
    states = set()
    with ExitStack() as opened:
        venue = opened.enter_context(open_venue(root, **terms))
        fund(venue, cash=D(20_000))
        for number in range(orders):
            order = _random_order(rng, number)
            place = (order.account, order.asset)
            bps = slippage(order.client_id, mean_bps=mean, seed=f"walk-{seed}") / 10_000
            quantity, limit = Fraction(order.quantity), Fraction(order.limit_price)
            if order.side == "BUY":
                price = ceil(Fraction(MARKS[place]) * (1 + bps) / money) * money
                fills, at = price <= limit, min(price, limit)
                change = -ceil(quantity * at / money) * money
            else:
                price = floor(Fraction(MARKS[place]) * (1 - bps) / money) * money
                fills = price >= limit
                change = floor(quantity * price / money) * money
                at = price
            fee = ceil(quantity * at * Fraction(fee_bps) / 10_000 / money) * money
            if order.side == "BUY" and cash + change - fee < 0:
                with pytest.raises(OrderRefused, match="cash"):
                    venue.place(order)
                states.add("refused")
            else:
                report = venue.place(order)
                states.add(report.state)
                assert report.state == ("filled" if fills else "closed")
                if fills:
                    cash += change - fee
                    held[place] += quantity if order.side == "BUY" else -quantity
                    assert report.average_price is not None
                    assert Fraction(report.average_price) == price
                    assert Fraction(report.cash_change) == change - fee
                    assert Fraction(report.commission) == fee
            if reopen:
                opened.close()
                venue = opened.enter_context(open_venue(root, **terms))
            found = venue.balances()
            assert Fraction(found.cash) == cash
            assert {key: Fraction(value) for key, value in found.quantities.items()} == {
                key: value for key, value in held.items() if value
            }
    return states


def test_random_orders_leave_what_fractions_say(root: Path) -> None:
    states = [_walk(root / str(seed), seed, orders=60, reopen=seed % 2 == 0) for seed in range(4)]
    assert set.union(*states) == {"filled", "closed", "refused"}


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 120))
def test_thousands_of_random_orders_leave_what_fractions_say(root: Path, seed: int) -> None:
    assert _walk(root, seed, orders=250, reopen=seed % 2 == 0) >= {"filled", "closed"}
