"""A person at a terminal, for scenarios in which one is there."""

from __future__ import annotations

from dataclasses import dataclass, field

from portfolio_rebalance.errors import NotApprovedError
from portfolio_rebalance.run.approval import ApprovalPage
from portfolio_rebalance.vault import Seal

__all__ = ["EvalPerson"]


@dataclass(slots=True)
class EvalPerson:
    """Says yes to everything, or no; never has a passphrase, so never moves live money.

    Attributes:
        agrees_to_all: What they say.
        shown: The pages they saw.
    """

    agrees_to_all: bool
    user: str = "eval"
    shown: list[str] = field(default_factory=list)

    def confirms(self, page: ApprovalPage) -> bool:
        """Whether they approve the page."""
        self.shown.append(page.text)
        return self.agrees_to_all

    def sees(self, page: ApprovalPage) -> None:
        """They are shown a page."""
        self.shown.append(page.text)

    def agrees(self, question: str, *, word: str) -> bool:
        """Whether they agree."""
        self.shown.append(f"{question} {word}")
        return self.agrees_to_all

    def seal(self) -> Seal:
        """They have none.

        Raises:
            NotApprovedError: Always.
        """
        raise NotApprovedError("No passphrase is known here.", where="evals", fix="Use the paper venue.")
