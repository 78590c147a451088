"""Return files: what is read exactly, and that every refusal names its line."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import math
import os
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio_rebalance.errors import BadDataError, FutureDataError, RebalanceError, UnsafePathError
from portfolio_rebalance.workspace.problems import each_problem
from portfolio_rebalance.workspace.returns import ReturnColumn, read_returns

TODAY = date(2026, 11, 23)
FOLDER = "live-monitoring/live-performance/STR-001"
CSV = f".crypto/{FOLDER}/daily_returns.csv"
PARQUET = f".crypto/{FOLDER}/daily_returns.parquet"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".crypto" / FOLDER).mkdir(parents=True)
    return tmp_path / ".crypto"


def write(root: Path, text: str | bytes) -> Path:
    path = root / FOLDER / "daily_returns.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(root: Path, text: str | bytes | None = None) -> ReturnColumn:
    if text is not None:
        write(root, text)
    column = read_returns(root, "STR-001", today=TODAY)
    assert column is not None
    return column


def refusal(
    root: Path, text: str | bytes | None = None, kind: type[RebalanceError] | None = BadDataError
) -> RebalanceError:
    with pytest.raises(RebalanceError) as caught:
        read(root, text)
    assert kind is None or type(caught.value) is kind
    assert isinstance(caught.value, BadDataError)
    assert caught.value.what.isprintable()
    assert caught.value.fix
    return caught.value


def values(column: ReturnColumn) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in column.values]


# --- CSV that is read ------------------------------------------------------------------------------------


def test_a_file_becomes_two_columns(root: Path) -> None:
    text = "date,return\n2026-11-20,0.0123\n2026-11-21,-0.5\n2026-11-23,\n"
    column = read(root, text)
    assert column.days.dtype == np.dtype("datetime64[D]")
    assert column.values.dtype == np.float64
    assert column.days.tolist() == [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 23)]
    assert values(column) == [0.0123, -0.5, None]
    assert column.label == CSV
    assert column.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert [column.where(index) for index in (0, 2, -1)] == [f"{CSV}:2", f"{CSV}:4", f"{CSV}:4"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_either_line_ending_with_or_without_the_last(root: Path, ending: str, last: bool) -> None:
    text = ending.join(["date,return", "2026-01-01,0.1", "2026-01-02,"]) + (ending if last else "")
    assert values(read(root, text)) == [0.1, None]


@pytest.mark.parametrize("text", ["date,return", "date,return\n", "date,return\r\n"])
def test_a_strategy_without_returns_yet_has_empty_columns(root: Path, text: str) -> None:
    column = read(root, text)
    assert column.days.shape == column.values.shape == (0,)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("-0.0123", -0.0123),
        ("1e-05", 1e-05),
        ("1E-5", 1e-05),
        ("2.5e+00", 2.5),
        ("0", 0.0),
        ("-0.0", -0.0),
        ("-1", -1.0),
        ("10", 10.0),
        ("0.1000000000000000055511151231257827", 0.1),
        ("5e-324", 5e-324),
        ("1e-999", 0.0),
    ],
)
def test_a_plain_decimal_is_read_as_the_nearest_float(root: Path, cell: str, value: float) -> None:
    (read_value,) = read(root, f"date,return\n2026-01-01,{cell}\n").values
    assert (read_value, math.copysign(1, read_value)) == (value, math.copysign(1, value))


def test_a_missing_value_is_missing_and_never_zero(root: Path) -> None:
    column = read(root, "date,return\n2026-01-01,\n2026-01-02,0.0\n")
    assert values(column) == [None, 0.0]


def test_today_itself_is_not_in_the_future(root: Path) -> None:
    assert len(read(root, f"date,return\n{TODAY},0.1\n").days) == 1


def test_the_columns_cannot_be_changed(root: Path) -> None:
    column = read(root, "date,return\n2026-01-01,0.1\n")
    with pytest.raises(ValueError, match="read-only"):
        column.values[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        column.days[0] = np.datetime64("2026-01-02")


def test_no_file_is_none(root: Path) -> None:
    assert read_returns(root, "STR-001", today=TODAY) is None
    assert read_returns(root, "STR-NONE", today=TODAY) is None


def test_two_years_read_back_exactly(root: Path) -> None:
    days = [date(2018, 1, 1) + timedelta(days=n) for n in range(641)]
    expected = [math.sin(n * n) / 10 for n in range(641)]
    write(
        root,
        "date,return\n" + "".join(f"{day},{value!r}\n" for day, value in zip(days, expected, strict=True)),
    )
    column = read(root)
    assert column.days.tolist() == days
    assert values(column) == expected


# --- CSV that is refused ---------------------------------------------------------------------------------

GOOD = "2026-01-01,0.1\n2026-01-02,-0.1\n"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "date;return",
        "Date,Return",
        "date, return",
        "return,date",
        "date,return,",
        "date,return,x",
        "2026-01-01,0.1",
    ],
)
def test_the_header_is_exact(root: Path, header: str) -> None:
    error = refusal(root, f"{header}\n{GOOD}")
    assert error.where == f"{CSV}:1"
    assert error.what == f"The first line is {header!r}, but should be 'date,return'."


@pytest.mark.parametrize(
    "text",
    ["date;return\n2026-01-01;0.1\n", "date\treturn\n", "date,return\n2026-01-01;0,1\n2026-01-02;0.1\n"],
)
def test_semicolons_and_tabs_are_told_to_be_commas(root: Path, text: str) -> None:
    problems = each_problem(refusal(root, text))
    assert any("with a comma" in one.fix for one in problems)


def test_each_kind_of_bad_row_is_carried_once_and_counted(root: Path) -> None:
    rows = "2026-01-01,1%\n2026-01-02,nan\n2026-01-03,2%\n2026-01-04,3%\n2026-01-05,0.1\n"
    error = refusal(root, f"date,return\n{rows}")
    assert error.what == "The return '1%' is not a plain decimal number."
    assert [(one.where, one.what) for one in each_problem(error)] == [
        (f"{CSV}:2", f"{error.what} (2 more lines have this.)"),
        (f"{CSV}:3", "The return 'nan' is not a plain decimal number."),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\xef\xbb\xbfdate,return\n", "date,return\n".encode("utf-16"), b"\0" * 9]
)
def test_a_file_that_is_not_plain_text_fails_at_its_header(root: Path, data: bytes) -> None:
    assert refusal(root, data).where == f"{CSV}:1"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("2026-01-03", "'2026-01-03' has 1 columns, not 2."),
        ("2026-01-03,0.1,", "'2026-01-03,0.1,' has 3 columns, not 2."),
        ("2026-01-03,0.1,0.2", "'2026-01-03,0.1,0.2' has 3 columns, not 2."),
        ("", "The line is blank."),
        (" ", "' ' has 1 columns, not 2."),
        ("# note", "'# note' has 1 columns, not 2."),
        (",0.1", "'' is not a date."),
        ("20260103,0.1", "'20260103' is not a date."),
        ("2026-1-3,0.1", "'2026-1-3' is not a date."),
        ("03.01.2026,0.1", "'03.01.2026' is not a date."),
        ("2026/01/03,0.1", "'2026/01/03' is not a date."),
        ("2026-01-03T00:00:00Z,0.1", "'2026-01-03T00:00:00Z' is not a date."),
        (" 2026-01-03,0.1", "' 2026-01-03' is not a date."),
        ('"2026-01-03",0.1', "'\"2026-01-03\"' is not a date."),
        ("NaT,0.1", "'NaT' is not a date."),
        ("today,0.1", "'today' is not a date."),
        ("0999-01-03,0.1", "'0999-01-03' is not a date."),
        ("\uff12\uff10\uff12\uff16-01-03,0.1", r"'\uff12\uff10\uff12\uff16-01-03' is not a date."),
        ("2026-13-45,0.1", "'2026-13-45' is not a day of the calendar."),
        ("2026-02-29,0.1", "'2026-02-29' is not a day of the calendar."),
        ("2026-01-00,0.1", "'2026-01-00' is not a day of the calendar."),
    ],
)
def test_a_bad_row_is_named_by_its_line(root: Path, row: str, what: str) -> None:
    error = refusal(root, f"date,return\n{GOOD}{row}\n2026-03-01,0.1\n2026-02-30,%\n")
    assert (error.where, error.what) == (f"{CSV}:4", what)
    crlf = refusal(root, f"date,return\n{GOOD}{row}\n2026-03-01,0.1\n".replace("\n", "\r\n"))
    assert (crlf.where, crlf.what) == (error.where, error.what)


MISSING = "Leave the value empty where there is no return."
FRACTION = "Write a fraction such as -0.0123, without blanks or separators."


@pytest.mark.parametrize(
    ("cell", "fix"),
    [
        *(
            (cell, MISSING)
            for cell in ("nan", "NaN", "NA", "null", "None", "inf", "-inf", "Infinity", " ", "-")
        ),
        *((cell, "Write a fraction without the sign: 0.01 for 1%.") for cell in ("1%", "0.5 %")),
        *((cell, FRACTION) for cell in ("1_000", "0x1", "+0.1", ".1", "1.", "01", "--1", "1e", "1e5e", "0a")),
        *(
            (cell, FRACTION)
            for cell in (
                " 0.1",
                "0.1 ",
                "0.1\t",
                '"0.1"',
                "0.1\0",
                "0.1\r\r",
                "\u0661",
                "1e1000",
                "0." + "1" * 41,
            )
        ),
    ],
    ids=ascii,
)
def test_a_value_that_is_not_a_plain_decimal_is_refused(root: Path, cell: str, fix: str) -> None:
    error = refusal(root, f"date,return\n{GOOD}2026-01-03,{cell}\n2026-01-04,0.1\n")
    assert error.where == f"{CSV}:4"
    assert error.what.endswith("is not a plain decimal number.")
    assert error.fix == fix


def test_rows_that_only_add_up_to_the_right_number_of_columns_are_refused(root: Path) -> None:
    error = refusal(root, "date,return\n2026-01-01,0.1,2026-01-02\n0.2\n")
    assert (error.where, error.what) == (f"{CSV}:2", "'2026-01-01,0.1,2026-01-02' has 3 columns, not 2.")


@pytest.mark.parametrize("blank", ["\n", "\r\n", "\n\n\n"])
def test_blank_lines_at_the_end_are_refused(root: Path, blank: str) -> None:
    error = refusal(root, f"date,return\n{GOOD}{blank}")
    assert (error.where, error.what) == (f"{CSV}:4", "The line is blank.")


def test_old_mac_line_ends_are_refused(root: Path) -> None:
    assert refusal(root, f"date,return\n{GOOD}".replace("\n", "\r")).where == f"{CSV}:1"


def test_a_day_that_stands_twice_is_refused(root: Path) -> None:
    error = refusal(root, f"date,return\n{GOOD}2026-01-02,0.3\n2026-01-01,0.4\n")
    assert (error.where, error.what) == (f"{CSV}:4", "2026-01-02 stands twice.")


def test_days_out_of_order_are_refused(root: Path) -> None:
    error = refusal(root, f"date,return\n{GOOD}2025-12-31,0.3\n")
    assert (error.where, error.what) == (f"{CSV}:4", "2025-12-31 comes after 2026-01-02.")


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("-1.0001", "A return of -1.0001 loses more than everything."),
        ("-1e300", "A return of -1e+300 loses more than everything."),
        ("-1e999", "A return of -inf loses more than everything."),
        ("10.01", "A return of 10.01 is more than 1000 % in a day."),
        ("1e999", "A return of inf is more than 1000 % in a day."),
    ],
)
def test_an_impossible_return_is_refused(root: Path, cell: str, what: str) -> None:
    error = refusal(root, f"date,return\n2025-12-31,\n{GOOD}2026-01-03,{cell}\n")
    assert (error.where, error.what) == (f"{CSV}:5", what)
    assert error.fix == "Write returns as fractions: 0.01 for one percent."


def test_a_day_after_today_is_future_data(root: Path) -> None:
    error = refusal(root, f"date,return\n{GOOD}2026-11-23,0\n2026-11-24,0\n2026-11-25,0\n", FutureDataError)
    assert (error.where, error.what) == (f"{CSV}:5", "2026-11-24 lies after today, 2026-11-23.")


def test_both_formats_at_once_are_refused(root: Path) -> None:
    write(root, f"date,return\n{GOOD}")
    (root / FOLDER / "daily_returns.parquet").touch()
    assert refusal(root).where == CSV


@pytest.mark.parametrize(
    "strategy_id",
    [
        "",
        ".",
        "..",
        "STR-",
        "STR-../X",
        "STR-A/B",
        "str-001",
        "STR-001\n",
        "STR-é",
        "STR--A",
        "STR-" + "A" * 34,
        "XSTR-1",
    ],
)
def test_what_is_not_a_strategy_id_never_becomes_a_path(root: Path, strategy_id: str) -> None:
    with pytest.raises(UnsafePathError):
        read_returns(root, strategy_id, today=TODAY)


def test_links_pipes_and_large_files_are_refused(root: Path) -> None:
    path = root / FOLDER / "daily_returns.csv"
    path.symlink_to("elsewhere.csv")
    refusal(root, kind=UnsafePathError)
    path.unlink()
    os.mkfifo(path)
    refusal(root, kind=UnsafePathError)
    path.unlink()
    path.touch()
    os.truncate(path, 16_000_001)
    refusal(root, kind=UnsafePathError)


# --- properties ------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.floats(-1, 10).map(repr),
    st.just(""),
    st.sampled_from(["nan", "1%", "-2", "11", "1e5", "0x1", " 0", "1,2", "\n", "\r"]),
    st.text("0123456789.eE+-,_ \n\r", max_size=8),
)
DAYS = st.one_of(
    st.dates(date(2024, 1, 1), date(2024, 3, 1)).map(str),
    st.sampled_from(["2024-02-30", "NaT", "", "2027-01-01"]),
)


def by_hand(text: str) -> list[tuple[date, float | None]] | None:
    """The rows by another road, one rule after the other; None if any rule is broken."""
    rows = [line.split(",") for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")[1:]]
    result: list[tuple[date, float | None]] = []
    for row in rows:
        if len(row) != 2 or len(row[0]) != 10 or row[0][:1] == "0":
            return None
        try:
            day = date.fromisoformat(row[0])
            value = float(row[1]) if row[1] else None
        except ValueError:
            return None
        mantissa, _, exponent = row[1].lower().lstrip("-").partition("e")
        if set(row[1]) - set("0123456789.eE+-") or mantissa.startswith((".", "+")):
            return None
        if mantissa.endswith(".") or (mantissa[:1] == "0" and mantissa[1:2].isdigit()):
            return None
        if len(exponent.lstrip("+-")) > 3 or (value is not None and not -1 <= value <= 10):
            return None
        if day > TODAY or (result and day <= result[-1][0]):
            return None
        result.append((day, value))
    return result


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.lists(st.tuples(DAYS, CELLS), max_size=5),
        st.dictionaries(st.dates(date(2024, 1, 1), TODAY).map(str), CELLS, max_size=6).map(
            lambda rows: sorted(rows.items())
        ),
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_rows_are_read_as_by_hand_or_refused_with_a_line(
    root: Path, rows: Sequence[tuple[str, str]], ending: str
) -> None:
    text = ending.join(["date,return", *(f"{day},{cell}" for day, cell in rows), ""])
    expected = by_hand(text) if rows else []
    if expected is None:
        line = int(refusal(root, text, None).where.removeprefix(f"{CSV}:"))
        assert 2 <= line <= text.count("\n") + 1
    else:
        column = read(root, text)
        assert expected == list(zip(column.days.tolist(), values(column), strict=True))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_a_column_or_a_refusal(root: Path, data: bytes, headed: bool) -> None:
    write(root, b"date,return\n" + data if headed else data)
    with contextlib.suppress(BadDataError):
        read(root)


# --- Parquet ---------------------------------------------------------------------------------------------


def write_parquet(root: Path, **columns: Any) -> None:
    arrays = {name.rstrip("_"): array for name, array in columns.items()}
    pq.write_table(pa.table(arrays), root / FOLDER / "daily_returns.parquet")


DATES = pa.array([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 4)], pa.date32())
RETURNS = pa.array([0.1, None, math.nan], pa.float64())


@pytest.mark.parametrize(
    "dates",
    [
        DATES,
        DATES.cast(pa.date64()),
        DATES.cast(pa.timestamp("us")),
        DATES.cast(pa.timestamp("ns")),
        DATES.cast(pa.timestamp("ms", "UTC")),
    ],
    ids=lambda dates: str(dates.type),
)
def test_parquet_reads_as_csv_does(root: Path, dates: pa.Array) -> None:
    write_parquet(root, return_=RETURNS, date=dates)
    column = read(root)
    assert column.days.tolist() == [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 4)]
    assert column.days.dtype == np.dtype("datetime64[D]")
    assert column.values.dtype == np.float64
    assert values(column) == [0.1, None, None]
    assert column.label == PARQUET
    assert column.where(-1) == f"{PARQUET}:3"
    assert not column.values.flags.writeable


def test_parquet_written_by_pandas_is_read(root: Path) -> None:
    pandas = pytest.importorskip("pandas")
    days = pandas.DatetimeIndex(["2026-01-01", "2026-01-02"], name="date")
    frame = pandas.DataFrame({"return": [0.1, np.nan]}, index=days)
    frame.to_parquet(root / FOLDER / "daily_returns.parquet")
    assert values(read(root)) == [0.1, None]


def test_an_empty_parquet_has_empty_columns(root: Path) -> None:
    write_parquet(root, date=DATES[:0], return_=RETURNS[:0])
    assert read(root).days.shape == (0,)


@pytest.mark.parametrize(
    ("columns", "where", "what"),
    [
        ({"date": DATES}, "", "The columns are 'date', but should be date and return."),
        (
            {"date": DATES, "return_": RETURNS, "x": RETURNS},
            "",
            "The columns are 'date, return, x', but should be date and return.",
        ),
        ({"date": DATES.cast(pa.string()), "return_": RETURNS}, "", "The column date is of type string."),
        (
            {"date": DATES.cast(pa.timestamp("us", "Europe/Zurich")), "return_": RETURNS},
            "",
            "The column date is of type timestamp[us, tz=Europe/Zurich].",
        ),
        ({"date": DATES, "return_": pa.array([1, 2, 3])}, "", "The column return is of type int64."),
        ({"date": DATES, "return_": RETURNS.cast(pa.string())}, "", "The column return is of type string."),
        ({"date": pa.array([DATES[0], None, DATES[2]]), "return_": RETURNS}, ":2", "The date is missing."),
        (
            {"date": pa.array([0, 86_400, 90_000], pa.timestamp("s")), "return_": RETURNS},
            ":3",
            "1970-01-02T01:00:00.000 is not a day but an instant within one.",
        ),
        (
            {"date": DATES.take(pa.array([0, 2, 1])), "return_": RETURNS},
            ":3",
            "2026-01-02 comes after 2026-01-04.",
        ),
        ({"date": DATES.take(pa.array([0, 1, 1])), "return_": RETURNS}, ":3", "2026-01-02 stands twice."),
        (
            {"date": DATES, "return_": pa.array([None, 12.0, math.inf])},
            ":2",
            "A return of 12.0 is more than 1000 % in a day.",
        ),
    ],
)
def test_parquet_is_refused_by_the_same_rules(
    root: Path, columns: dict[str, Any], where: str, what: str
) -> None:
    write_parquet(root, **columns)
    error = refusal(root)
    assert (error.where, error.what) == (f"{PARQUET}{where}", what)


def test_parquet_of_the_future_is_refused(root: Path) -> None:
    write_parquet(root, date=pa.array([TODAY, TODAY + timedelta(days=1)]), return_=RETURNS[:2])
    assert refusal(root, kind=FutureDataError).where == f"{PARQUET}:2"


def test_a_small_parquet_that_unpacks_to_a_large_one_is_refused_before_it_does(root: Path) -> None:
    rows = 3_000_000
    write_parquet(root, date=pa.array(np.zeros(rows, "datetime64[D]")), return_=pa.array(np.zeros(rows)))
    assert (root / FOLDER / "daily_returns.parquet").stat().st_size < 100_000
    assert "3000000 rows" in refusal(root).what


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_a_damaged_parquet_is_refused(root: Path, damage: str) -> None:
    write_parquet(root, date=DATES, return_=RETURNS)
    path = root / FOLDER / "daily_returns.parquet"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "text": b"date,return\n2026-01-01,0.1\n",
            "cut": whole[:middle],
            "flipped": whole[:8] + bytes(byte ^ 0xFF for byte in whole[8:]),
        }[damage]
    )
    error = refusal(root)
    assert error.where == PARQUET
    assert error.what.startswith("This Parquet file cannot be read: ")


def test_parquet_without_pyarrow_says_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(root, date=DATES, return_=RETURNS)
    genuine_import = builtins.__import__

    def without_pyarrow(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name)
        return genuine_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    error = refusal(root)
    assert error.where == PARQUET
    assert error.fix.startswith("pip install 'trading-portfolio-rebalance[parquet]'")


def test_reading_csv_imports_neither_pyarrow_nor_pandas(root: Path) -> None:
    import subprocess

    write(root, f"date,return\n{GOOD}")
    script = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from portfolio_rebalance.workspace.returns import read_returns\n"
        f"read_returns(Path({str(root)!r}), 'STR-001', today=date(2026, 11, 23))\n"
        "assert not {'pyarrow', 'pandas'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
