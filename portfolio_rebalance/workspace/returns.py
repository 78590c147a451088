"""Daily return files of one strategy: one column of days, one of returns.

A return that is misread is worse than one that is missing: correlation, risk and every proposal come from it,
and nothing later looks odd. So there is one spelling: ISO dates in ascending order, plain decimal fractions
(0.01 is one percent), an empty value for a day without a return. Never ``nan``, a percent sign, or the same
data in a second format beside it.

Files are short and there may be thousands, so each is checked and read in bulk; only a file that does not
pass is read again line by line, to say where it fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from portfolio_rebalance.analytics.returns import Days, Floats
from portfolio_rebalance.errors import BadDataError, FutureDataError, MissingDataError, UnsafePathError
from portfolio_rebalance.workspace.files import FileBytes, exists, read_bytes
from portfolio_rebalance.workspace.problems import carrying

__all__ = ["ReturnColumn", "read_returns"]

Returns: TypeAlias = Floats

_STRATEGY_ID: Final = re.compile(r"STR-[A-Z0-9][A-Z0-9_-]{0,31}")
_MAX_BYTES: Final = 16_000_000
_MAX_PARQUET_ROWS: Final = 100_000
_HEADER: Final = b"date,return"
_HEADER_FIX: Final = "Write that line first, and save as plain UTF-8 without BOM."
_COMMA: Final = "Separate the two columns with a comma: date,return (and write decimals with a point)."
_DAY: Final = rb"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?"
_ROWS: Final = re.compile(rb"(?:%b,(?:%b)?+\n)*+" % (_DAY, _NUMBER))
_LOWEST: Final = -1.0
_HIGHEST: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class ReturnColumn:
    """The returns of one strategy as its file states them.

    Attributes:
        days: Shape (T,), ``datetime64[D]``: the UTC dates the returns closed on, strictly ascending.
        values: Shape (T,), float64 fractions in [-1, 10]; NaN where the file states that there is none.
        label: The file's name in errors.
        sha256: Digest of the file.
        first_line: Line of ``days[0]`` in the file (for Parquet its row, counted from 1).
    """

    days: Days
    values: Returns
    label: str
    sha256: str
    first_line: int

    def where(self, index: int) -> str:
        """``label:line`` of row ``index``; negative counts from the end."""
        return f"{self.label}:{self.first_line + range(len(self.days))[index]}"


def read_returns(root: Path, strategy_id: str, *, today: date) -> ReturnColumn | None:
    """The return file of a strategy, or None if it has none.

    Args:
        root: The workspace folder.
        strategy_id: ``STR-…``; checked before it becomes part of a path.
        today: Calendar day of the machine; no return closes later.

    Raises:
        UnsafePathError: Not a strategy id, or not a plain file.
        FutureDataError: A date after ``today``.
        BadDataError: Anything in the file that is not as the workspace states it, with ``file:line``.
    """
    if not _STRATEGY_ID.fullmatch(strategy_id):
        raise UnsafePathError(
            f"{strategy_id!r} is not a strategy id.",
            where="strategy_id",
            fix="Write STR- and up to 32 of A-Z, 0-9, _ and -, beginning with a letter or digit.",
        )
    folder = f"live-monitoring/live-performance/{strategy_id}"
    csv, parquet = f"{folder}/daily_returns.csv", f"{folder}/daily_returns.parquet"
    has_parquet = exists(root, parquet)
    try:
        content = read_bytes(root, csv, max_bytes=_MAX_BYTES)
    except MissingDataError:
        if not has_parquet:
            return None
        content = read_bytes(root, parquet, max_bytes=_MAX_BYTES)
        days, values = _parquet_columns(content)
        return _checked(days, values, content, first_line=1, today=today)
    if has_parquet:
        raise BadDataError(
            "daily_returns.parquet stands beside this file, and either may be the current one.",
            where=content.label,
            fix="Keep one of the two.",
        )
    days, values = _csv_columns(content)
    return _checked(days, values, content, first_line=2, today=today)


def _checked(
    days: Days, values: Returns, content: FileBytes, *, first_line: int, today: date
) -> ReturnColumn:
    """The rules that hold whatever the format: order, range, no future."""
    column = ReturnColumn(days, values, content.label, content.sha256, first_line)
    unordered = days[1:] <= days[:-1]
    if unordered.any():
        index = int(unordered.argmax()) + 1
        same = days[index] == days[index - 1]
        raise BadDataError(
            f"{days[index]} {'stands twice' if same else f'comes after {days[index - 1]}'}.",
            where=column.where(index),
            fix="Keep one row a day." if same else "Sort the rows by date, oldest first.",
        )
    out_of_range = (values < _LOWEST) | (values > _HIGHEST)  # NaN, a missing return, is neither
    if out_of_range.any():
        index = int(out_of_range.argmax())
        value = float(values[index])
        raise BadDataError(
            f"A return of {value!r} loses more than everything."
            if value < _LOWEST
            else f"A return of {value!r} is more than {100 * _HIGHEST:.0f} % in a day.",
            where=column.where(index),
            fix="Write returns as fractions: 0.01 for one percent.",
        )
    late = days > np.datetime64(today, "D")
    if late.any():
        index = int(late.argmax())
        raise FutureDataError(
            f"{days[index]} lies after today, {today}.",
            where=column.where(index),
            fix="Correct the date, or the machine's clock.",
        )
    days.setflags(write=False)
    values.setflags(write=False)
    return column


# --- CSV -------------------------------------------------------------------------------------------------


def _csv_columns(content: FileBytes) -> tuple[Days, Returns]:
    data = content.data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    header, _, rows = data.partition(b"\n")
    if header != _HEADER:
        raise BadDataError(
            f"The first line is {_shown(header)}, but should be 'date,return'.",
            where=f"{content.label}:1",
            fix=_COMMA if _other_separator(header) else _HEADER_FIX,
        )
    if not _ROWS.fullmatch(rows):
        raise _first_bad_row(rows, content.label)
    cells = rows.replace(b"\n", b",").split(b",")
    try:
        days = np.array(cells[0:-1:2], dtype="datetime64[D]")
    except ValueError:  # a day that the calendar does not have
        raise _first_bad_row(rows, content.label) from None
    values = np.array([float(cell) if cell else np.nan for cell in cells[1::2]], dtype=np.float64)
    return days, values


def _first_bad_row(rows: bytes, label: str) -> BadDataError:
    """What is wrong with the first row that is not a date and a number.

    It carries the first row of each kind of mistake: whoever wrote one percent sign wrote hundreds.
    """
    kinds: dict[str, list[tuple[int, str]]] = {}
    for line, row in enumerate(rows.removesuffix(b"\n").split(b"\n"), start=2):
        problem = _row_problem(row)
        if problem:
            what, fix = problem
            kinds.setdefault(fix, []).append((line, what))
    problems = [
        BadDataError(
            what + (f" ({len(others)} more lines have this.)" if others else ""),
            where=f"{label}:{line}",
            fix=fix,
        )
        for fix, ((line, what), *others) in kinds.items()
    ]
    fix, ((line, what), *_) = next(iter(kinds.items()))
    return carrying(BadDataError(what, where=f"{label}:{line}", fix=fix), problems)


def _row_problem(row: bytes) -> tuple[str, str] | None:
    if not row:
        return "The line is blank.", "Remove it; a day without a return is written as its date and a comma."
    day, *others = row.split(b",")
    if not others and _other_separator(row):
        return f"{_shown(row)} has 1 columns, not 2.", _COMMA
    if len(others) != 1:
        return f"{_shown(row)} has {len(others) + 1} columns, not 2.", "Write date,return and nothing else."
    if not re.fullmatch(_DAY, day):
        return f"{_shown(day)} is not a date.", "Write dates as 2026-11-23."
    try:
        date.fromisoformat(day.decode())
    except ValueError:
        return f"{_shown(day)} is not a day of the calendar.", "Correct the date."
    value = others[0]
    if value and not re.fullmatch(_NUMBER, value):
        return f"The return {_shown(value)} is not a plain decimal number.", _number_fix(value)
    return None


def _other_separator(line: bytes) -> bool:
    return b"," not in line and (b";" in line or b"\t" in line)


def _number_fix(value: bytes) -> str:
    if b"%" in value:
        return "Write a fraction without the sign: 0.01 for 1%."
    if value.strip().lower().lstrip(b"+-") in (
        b"nan",
        b"na",
        b"n/a",
        b"null",
        b"none",
        b"inf",
        b"infinity",
        b"",
    ):
        return "Leave the value empty where there is no return."
    return "Write a fraction such as -0.0123, without blanks or separators."


def _shown(cell: bytes) -> str:
    text = cell.decode("utf-8", "backslashreplace")
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


# --- Parquet ---------------------------------------------------------------------------------------------


def _parquet_columns(content: FileBytes) -> tuple[Days, Returns]:
    """Both columns of a Parquet file; only fixed-width types, so that a small file cannot grow large."""
    try:
        import pyarrow as pa  # heavy, and only here
        import pyarrow.parquet as pq
    except ImportError:
        raise BadDataError(
            "Reading Parquet needs pyarrow, which is not installed.",
            where=content.label,
            fix="pip install 'trading-portfolio-rebalance[parquet]', or keep daily_returns.csv instead.",
        ) from None
    try:
        file = pq.ParquetFile(pa.BufferReader(content.data))
        _require_two_columns(file, content.label, types=pa.types)
        table = file.read(use_threads=False)
        dates, returns = table.column("date"), table.column("return")
        if dates.null_count:
            index = dates.is_null().to_pylist().index(True)
            raise BadDataError(
                "The date is missing.",
                where=f"{content.label}:{index + 1}",
                fix="Fill it in, or remove the row.",
            )
        stated = dates.to_numpy()
        values = returns.to_numpy().astype(np.float64)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BadDataError(
            f"This Parquet file cannot be read: {_first_line(error)}.",
            where=content.label,
            fix="Write it again, or keep daily_returns.csv instead.",
        ) from None
    days: Days = stated.astype("datetime64[D]")
    within_day = days != stated
    if within_day.any():
        index = int(within_day.argmax())
        raise BadDataError(
            f"{stated[index]} is not a day but an instant within one.",
            where=f"{content.label}:{index + 1}",
            fix="Store dates (date32), or timestamps at 00:00 UTC.",
        )
    return days, values


def _require_two_columns(file: Any, label: str, *, types: Any) -> None:
    """Refuse by the file's own description, before any of it is unpacked."""
    schema, metadata = file.schema_arrow, file.metadata
    if sorted(schema.names) != ["date", "return"]:
        raise BadDataError(
            f"The columns are {', '.join(schema.names)[:80]!r}, but should be date and return.",
            where=label,
            fix="Write these two columns and no other, without an index.",
        )
    day, value = schema.field("date").type, schema.field("return").type
    in_utc = not types.is_timestamp(day) or day.tz in (None, "UTC")
    if not (types.is_date(day) or types.is_timestamp(day)) or not in_utc:
        raise BadDataError(
            f"The column date is of type {day}.",
            where=label,
            fix="Store dates (date32), or timestamps at 00:00 UTC.",
        )
    if not (types.is_float64(value) or types.is_float32(value)):
        raise BadDataError(f"The column return is of type {value}.", where=label, fix="Store it as float64.")
    unpacked_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > _MAX_PARQUET_ROWS or unpacked_bytes > _MAX_BYTES:
        raise BadDataError(
            f"The file states {metadata.num_rows} rows and {unpacked_bytes} bytes, more than days there are.",
            where=label,
            fix="Check that this is the right file.",
        )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:120].rstrip(".") if lines else type(error).__name__
