"""Live broker: spot trading at a supported exchange, through ccxt.

Contract: what ``broker`` asks of every venue. One account, long only. Every amount is the exchange's own
text, read exactly; what an answer lacks is unknown, never zero. Nothing here resends, changes a quantity, or
takes silence for an answer. Prices are rounded so that a buy never costs more, and a sale never brings less,
than the limit says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Final, TypeVar

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import (
    Holdings,
    Instrument,
    Order,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
)
from portfolio_rebalance.execution.ccxt_client import ApiCredentials, CcxtSettings, Client, Exchange, Failure
from portfolio_rebalance.execution.ccxt_guard import Outgoing
from portfolio_rebalance.execution.ccxt_lookup import (
    VenueOrder,
    bought_and_paid,
    field,
    read_order,
    strangers,
    traded,
)
from portfolio_rebalance.execution.ccxt_markets import (
    Fees,
    Rules,
    balance,
    checked_symbols,
    last,
    limit_order,
    middle,
    read_fees,
    read_rules,
)
from portfolio_rebalance.records import Market

__all__ = ["ApiCredentials", "CcxtBroker", "CcxtSettings"]

_T = TypeVar("_T")

_EXACT: Final = Context(prec=60)
_BP: Final = 10_000
_PAGE: Final = 1000
"""Most that an exchange lists at once."""
_CLOCK_MARGIN_SECONDS: Final = 2.0
"""For clocks that differ: ours, and the exchange's."""


class CcxtBroker:
    """One account at one exchange. Nothing is sent before the first question.

    Args:
        settings: Which exchange, which markets.
        credentials: A key for reading and spot trading; never one that may withdraw.
        monotonic: Seconds that only ever grow.

    Raises:
        BrokerError: ccxt is not installed, the exchange is not supported, or a setting does not fit.
    """

    def __init__(
        self,
        settings: CcxtSettings,
        credentials: ApiCredentials,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._symbols = checked_symbols(settings)
        self._client = Client(settings, credentials)
        self._listed: Mapping[str, object] = {}
        self._fees: dict[str, Fees] = {}
        self._monotonic = monotonic
        self._began = monotonic()
        self._sent: dict[str, float] = {}

    @property
    def name(self) -> str:
        """Which exchange: ``ccxt:binance``; a test exchange is another one."""
        return f"ccxt:{self._settings.exchange}{':sandbox' if self._settings.sandbox else ''}"

    @property
    def live(self) -> bool:
        """Real money moves, except at a test exchange."""
        return not self._settings.sandbox

    @property
    def exact(self) -> bool:
        """An account holds dust that no snapshot mentions: holdings are ours to within a lot."""
        return False

    def holdings(self) -> Holdings:
        """Free and locked balances of the money and of the portfolio's assets.

        Raises:
            BrokerError: The key may not read the account.
            OutcomeUnknown: The exchange did not answer, or left one of the balances out.
        """
        self._load()
        balances = self._read("the balances", lambda exchange: exchange.fetch_balance())
        quote = self._settings.quote_currency
        if self._symbols is None:
            totals = field(balances, "total")
            listed = totals if isinstance(totals, Mapping) else {}
            coins = {coin: coin for coin in sorted(listed) if coin != quote}
        else:
            coins = {asset: symbol.partition("/")[0] for asset, symbol in self._symbols.items()}
        held = {(self._settings.account, asset): balance(balances, coin) for asset, coin in coins.items()}
        return Holdings(
            cash=balance(balances, quote),
            quantities=MappingProxyType({place: total for place, total in held.items() if total}),
        )

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        """Prices now; rules and fees as of the first call.

        Raises:
            BrokerError: An asset has no market here, or none that is open; another account; the key may not
                read; fees are taken in an asset of the portfolio.
            OutcomeUnknown: The exchange did not answer, or not with every price.
        """
        rules = {instrument: self._rules(instrument) for instrument in sorted(set(instruments))}
        for (_, asset), rule in rules.items():
            if not rule.open:
                raise BrokerError(
                    f"{self.name} takes no orders for {rule.symbol} at the moment.",
                    where=asset,
                    fix="Wait until the market is open, or leave the strategies that hold it out.",
                )
        fees = {rule.symbol: self._fees_of(rule) for rule in rules.values()}
        self._require_fees_elsewhere(fees, held={rule.base for rule in rules.values()})
        prices = self._prices(sorted(fees))
        found = {}
        for (account, asset), rule in rules.items():
            price = prices[rule.symbol]
            found[account, asset] = Market(
                account=account,
                asset=asset,
                price=price,
                lot=rule.lot,
                min_notional=rule.smallest_order(price),
                commission_bps=fees[rule.symbol].rate_bps,
            )
        return MappingProxyType(found)

    def place(self, order: Order) -> OrderReport:
        """Send one limit order, immediate or cancel.

        Raises:
            OrderRefused: The exchange definitely refused it, or it was stopped before it was sent.
            OutcomeUnknown: It may be there or not: no answer, or none that can be understood.
        """
        try:
            rule = self._rules((order.account, order.asset))
            outgoing = limit_order(order, rules=rule, venue=self._client.venue)
        except (BrokerError, OutcomeUnknown) as error:
            raise OrderRefused(f"not sent: {error}") from None
        fields = outgoing.fields
        params = {"clientOrderId": order.client_id, "timeInForce": fields["timeInForce"]}

        def send(exchange: Exchange) -> object:
            side = order.side.lower()
            return exchange.create_order(
                rule.symbol, "limit", side, fields["quantity"], fields["price"], params
            )

        try:
            record = self._client.ask(send, outgoing=outgoing)
        except Failure as failure:
            if failure.kind == "unsent":
                raise OrderRefused(f"not sent: {failure}") from None
            if failure.kind in ("refused", "denied"):
                raise OrderRefused(str(failure)) from None
            raise OutcomeUnknown(str(failure)) from None
        finally:
            self._sent[order.client_id] = self._monotonic()
        found = read_order(record, order=order, symbol=rule.symbol, venue=self._client.venue)
        return self._report(order, rule, found, trades=field(record, "trades"))

    def find(self, order: Order) -> OrderReport | None:
        """Look an order up: by its id, among open orders, among all orders, in the trades.

        A request can be under way for a while after we stopped waiting for it. The exchange refuses what is
        older than a few seconds, so before they are over nothing counts as absent. An order of an earlier
        process was sent before this object was made.

        Raises:
            BrokerError: Another account, or an asset that has no market here.
            OutcomeUnknown: One of the places did not answer, it is too early to say, or a trade belongs to an
                order that none of them shows.
        """
        rule = self._rules((order.account, order.asset))
        asked = self._monotonic()
        record = self._by_client_id(order, rule)
        if record is None:
            record = self._among_listed(order, rule)
        if record is None:
            patience = self._client.venue.window_ms / 1000 + _CLOCK_MARGIN_SECONDS
            if asked - self._sent.get(order.client_id, self._began) < patience:
                raise OutcomeUnknown(f"{order.client_id} may still be on its way")
            return None
        found = read_order(record, order=order, symbol=rule.symbol, venue=self._client.venue)
        return self._report(order, rule, found, trades=None)

    def cancel(self, order: Order) -> None:
        """Cancel the rest of an order; one that is closed, or never was, needs nothing.

        Raises:
            BrokerError: Another account, or an asset that has no market here.
            OutcomeUnknown: The exchange did not answer, or would not.
        """
        rule = self._rules((order.account, order.asset))
        found_as = self._client.venue.found_as
        outgoing = Outgoing(method="DELETE", fields={"symbol": rule.market_id, found_as: order.client_id})
        params = {"clientOrderId": order.client_id}
        try:
            self._client.ask(
                lambda exchange: exchange.cancel_order(None, rule.symbol, params), outgoing=outgoing
            )
        except Failure as failure:
            if failure.kind != "absent":
                raise OutcomeUnknown(str(failure)) from None

    # Where an order may be found.

    def _by_client_id(self, order: Order, rule: Rules) -> object | None:
        params = {"clientOrderId": order.client_id}
        try:
            return self._client.ask(lambda exchange: exchange.fetch_order(None, rule.symbol, params))
        except Failure as failure:
            if failure.kind == "absent":
                return None
            raise OutcomeUnknown(str(failure)) from None

    def _among_listed(self, order: Order, rule: Rules) -> object | None:
        symbol = rule.symbol
        pending = self._list("the open orders", lambda exchange: exchange.fetch_open_orders(symbol))
        past = self._list("all orders", lambda exchange: exchange.fetch_orders(symbol, None, _PAGE))
        listed = [*pending, *past]  # one that is in both was open when asked first: the later word counts
        if not all(isinstance(field(record, "clientOrderId"), str) for record in listed):
            raise OutcomeUnknown(f"{self.name} lists an order without saying whose it is")
        mine = [record for record in listed if field(record, "clientOrderId") == order.client_id]
        if mine:
            return mine[-1]
        trades = self._list("the trades", lambda exchange: exchange.fetch_my_trades(symbol, None, _PAGE))
        if strangers(trades, orders=listed):
            raise OutcomeUnknown(f"{self.name} shows a trade of an order that it does not list")
        return None

    def _report(self, order: Order, rule: Rules, found: VenueOrder, *, trades: object) -> OrderReport:
        """What came of an order. Trades that do not add up to it are asked for: they may be late."""
        if found.filled and not (isinstance(trades, list) and traded(trades) == found.filled):
            trades = self._list(
                "the trades",
                lambda exchange: exchange.fetch_order_trades(found.number, rule.symbol, None, _PAGE),
            )
            if traded(trades) != found.filled:
                raise OutcomeUnknown(f"the trades of {order.client_id} do not add up to what was filled")
        return bought_and_paid(
            order,
            found,
            trades,
            base=rule.base,
            quote=self._settings.quote_currency,
            value_of=lambda coin, cost: self._value(coin, cost, rule=rule, paid=found.paid),
        )

    def _value(self, coin: str, cost: Decimal, *, rule: Rules, paid: Decimal) -> Decimal:
        """Worth of a fee in a third coin; by the market's full rate where that coin has no price here."""
        symbol = f"{coin}/{self._settings.quote_currency}"
        try:
            if symbol not in self._listed:
                return _EXACT.divide(_EXACT.multiply(paid, self._fees_of(rule).rate_bps), _BP)
            price = self._prices([symbol])[symbol]
        except BrokerError as error:
            raise OutcomeUnknown(str(error)) from None
        return _EXACT.multiply(cost, price)

    # What the exchange demands and charges.

    def _load(self) -> None:
        if self._listed:
            return
        loaded = self._read("the markets", lambda exchange: exchange.load_markets(True))  # noqa: FBT003
        if not (isinstance(loaded, Mapping) and loaded):
            raise OutcomeUnknown(f"the markets are not known: {self.name} did not list any")
        self._listed = {symbol: record for symbol, record in loaded.items() if field(record, "spot") is True}

    def _rules(self, instrument: Instrument) -> Rules:
        account, asset = instrument
        if account != self._settings.account:
            raise BrokerError(
                f"{self.name} is the one account {self._settings.account!r}; {account!r} is another.",
                where=asset,
                fix=f"Write account: {self._settings.account} for every strategy that trades there.",
            )
        symbols = self._symbols
        symbol = f"{asset}/{self._settings.quote_currency}" if symbols is None else symbols.get(asset)
        if symbol is None:
            raise BrokerError(
                f"{asset} is not among the assets that may be traded at {self.name}.",
                where=asset,
                fix="Add its market to the broker's symbols, or leave the strategies that hold it out.",
            )
        self._load()
        if symbol not in self._listed:
            raise BrokerError(
                f"{self.name} has no spot market {symbol}.",
                where=asset,
                fix="Correct the market of this asset in the broker's symbols.",
            )
        return read_rules(symbol, self._listed[symbol])

    def _prices(self, symbols: list[str]) -> dict[str, Decimal]:
        """Between bid and ask, all at one moment; the last price where one side of the book is empty."""
        if not symbols:
            return {}
        quotes = self._read("the prices", lambda exchange: exchange.fetch_bids_asks(symbols))
        found = {}
        for symbol in symbols:
            price = middle(field(quotes, symbol))
            found[symbol] = self._last_price(symbol) if price is None else price
        return found

    def _last_price(self, symbol: str) -> Decimal:
        return last(self._read("the last price", lambda exchange: exchange.fetch_ticker(symbol)))

    def _fees_of(self, rule: Rules) -> Fees:
        if rule.symbol not in self._fees:
            params = {"symbol": rule.market_id}
            answer = self._read("the fees", lambda exchange: exchange.private_get_account_commission(params))
            self._fees[rule.symbol] = read_fees(answer)
        return self._fees[rule.symbol]

    def _require_fees_elsewhere(self, fees: Mapping[str, Fees], *, held: Collection[str]) -> None:
        """An order reports one asset and the cash; a third that the portfolio holds must not change."""
        if self._symbols is not None:
            held = {symbol.partition("/")[0] for symbol in self._symbols.values()}
        for symbol, fee in fees.items():
            if fee.paid_in in held:
                raise BrokerError(
                    f"{self.name} takes fees in {fee.paid_in}, which the portfolio holds.",
                    where=symbol,
                    fix=f"Switch that off at the exchange: each order would use up {fee.paid_in}.",
                )

    # Asking.

    def _read(self, what: str, call: Callable[[Exchange], _T]) -> _T:
        try:
            return self._client.ask(call)
        except Failure as failure:
            if failure.kind not in ("forbidden", "denied"):
                raise OutcomeUnknown(f"{what} are not known: {failure}") from None
            told = str(failure)
        raise BrokerError(
            f"{what[0].upper()}{what[1:]} may not be read: {told}.",
            where=self.name,
            fix="Check the key, what it may do (read, trade spot, from this address), and the hosts.",
        )

    def _list(self, what: str, call: Callable[[Exchange], object]) -> list[object]:
        """A whole list. Another answer the client takes for an empty one; what it does not know, it drops."""
        try:
            answer = self._client.ask(call)
        except Failure as failure:
            raise OutcomeUnknown(f"{what} are not known: {failure}") from None
        if not (isinstance(answer, list) and self._client.listed() == len(answer)):
            raise OutcomeUnknown(f"{what} are not known: the answer of {self.name} is no list of them")
        return answer
