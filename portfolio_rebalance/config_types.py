"""What the configuration's keys are made of: exact numbers, ranges, closed sections."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["NotNegative", "Number", "Percent", "Section", "Share"]


def _exact(value: object) -> object:
    """YAML writes 60 and 60.0 for the same number; a bool is neither."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number: TypeAlias = Annotated[Decimal, BeforeValidator(_exact)]
Percent: TypeAlias = Annotated[Number, Field(gt=0, le=100)]
Share: TypeAlias = Annotated[Number, Field(gt=0, le=1)]
NotNegative: TypeAlias = Annotated[Number, Field(ge=0, le=1_000_000)]


class Section(BaseModel):
    """A block of the configuration."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
