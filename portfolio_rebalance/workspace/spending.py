"""What models cost, run by run, in the ledger. Beside canonical records, never in them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

from portfolio_rebalance.records import Spend
from portfolio_rebalance.workspace.ledger import Ledger, as_ledger_error, stamp
from portfolio_rebalance.workspace.lock import exclusive

__all__ = ["keep_spend", "spent_in_dollars"]


def keep_spend(root: Path, *, run_id: str, at: datetime, spend: Spend) -> None:
    """Store what each agent of a run cost; the same run again adds to it.

    Raises:
        WorkspaceBusyError: Another process is writing.
        LedgerError: The ledger cannot be used; nothing was stored.
    """
    with exclusive(root), Ledger.open(root) as ledger, ledger.transaction() as connection:
        for one in spend.agents:
            connection.execute(
                "INSERT INTO model_calls (run_id, at, provider, agent, model, calls, input_tokens,"
                " output_tokens, cache_read_tokens, cache_write_tokens, dollars, seconds)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id,
                    stamp(at),
                    spend.provider,
                    one.agent,
                    one.model,
                    one.calls,
                    one.input_tokens,
                    one.output_tokens,
                    one.cache_read_tokens,
                    one.cache_write_tokens,
                    str(one.dollars),
                    one.seconds,
                ),
            )


def spent_in_dollars(ledger: Ledger, *, provider: str) -> Decimal:
    """What a provider's models cost in all runs, at list prices."""
    rows = ledger.rows("SELECT dollars FROM model_calls WHERE provider = ?", (provider,))
    with as_ledger_error("ledger.db"):
        return sum((Decimal(str(row[0])) for row in rows), Decimal(0))
