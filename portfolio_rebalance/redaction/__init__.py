"""Redaction: what leaves the process carries no credential, in whatever spelling.

In: text or JSON that is about to be written, printed or sent, and the credentials that this process knows.
Out: the same without them. Two nets, in this order: known values, which are found in every spelling that
:mod:`.needles` and :mod:`.views` list, and then patterns of credentials that nobody told us of. Pure: it
reads no environment, file or clock of its own.

What it does not find: a known value below eight characters (it would eat ordinary words), one that is spread
over several calls, compressed, encrypted, or in base58 or base85; and a fragment of fewer than sixteen
characters. Whoever knows a secret and means to carry it out can always invent one more spelling: this net is
for what is echoed by accident, credentials themselves stay out of the reach of models.
"""

from portfolio_rebalance.redaction.environment import allowed_headers, known_secrets
from portfolio_rebalance.redaction.redactor import Redactor

__all__ = ["Redactor", "allowed_headers", "known_secrets"]
