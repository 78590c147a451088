"""Redaction: known values in every spelling, credentials by their looks, and ordinary text untouched."""

from __future__ import annotations

import base64
import html
import json
import random
import sqlite3
from pathlib import Path
from urllib.parse import quote

import canaries
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redaction_laws import HOSTILE, check, check_time, planted

from portfolio_rebalance.cli import main as cli
from portfolio_rebalance.redaction import Redactor, allowed_headers, known_secrets

REPOSITORY = Path(__file__).parents[1]
KEY = canaries.SECRETS["ANTHROPIC_API_KEY"]
REDACTOR = Redactor(canaries.SECRETS)
NOTHING_KNOWN = Redactor({})
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


# --- known values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", canaries.ENCODINGS)
@pytest.mark.parametrize("name", canaries.SECRETS)
def test_a_known_value_is_found_in_every_encoding_and_its_name_is_shown(name: str, encoding: str) -> None:
    text = f"before {canaries.ENCODINGS[encoding](canaries.SECRETS[name])} after"
    assert {hit.name for hit in canaries.hits(text)} == {name}  # or what follows would prove nothing
    done = check(REDACTOR, text, canaries.SECRETS)
    assert f"[secret {name}]" in done
    assert done.startswith("before ")
    assert done.endswith(" after")


@pytest.mark.parametrize("name", canaries.SECRETS)
def test_a_known_value_is_found_within_a_longer_blob_and_over_a_line_break(name: str) -> None:
    rng = random.Random(name)
    settings_seen = set()
    for setting, text in planted(canaries.SECRETS[name], rng):
        settings_seen.add(setting)
        assert "[secret" in check(REDACTOR, text, canaries.SECRETS).replace("[secret]", ""), setting
    assert len(settings_seen) == 3 * len(canaries.ENCODINGS)


@pytest.mark.parametrize("offset", range(5))
def test_separators_within_a_fragment_or_an_encoding_make_no_difference(offset: int) -> None:
    secret = canaries.SECRETS["PORTFOLIO_REBALANCE_API_KEY"]
    data = b"k" * offset + secret.encode() + b"k"
    for text in (
        secret[offset : offset + 16],
        base64.b32encode(data).decode(),
        base64.b64encode(data).decode(),
    ):
        assert "[secret PORTFOLIO_REBALANCE_API_KEY]" in REDACTOR.redact(".".join(text)), text


def test_escapes_within_escapes_are_undone() -> None:
    secret = "a<b>c&d<e>f&g<h>i&j<k>l&m"
    redactor = Redactor({"X_PASSWORD": secret})
    text = secret
    for escape in (
        html.escape,
        lambda one: quote(one, safe=""),
        html.escape,
        lambda one: quote(one, safe=""),
    ):
        text = escape(text)
        assert "[secret X_PASSWORD]" in redactor.redact(text), text


def test_what_stands_around_a_known_value_stays() -> None:
    key = canaries.SECRETS["PORTFOLIO_REBALANCE_API_KEY"]
    shown = "[secret PORTFOLIO_REBALANCE_API_KEY]"
    assert REDACTOR.redact(f"GET /v3/order?apiKey={key}&side=BUY") == f"GET /v3/order?apiKey={shown}&side=BUY"
    assert REDACTOR.redact(f"{key}\n{key.lower()} {key.upper()}") == f"{shown}\n{shown} {shown}"
    assert REDACTOR.redact(key.encode().hex(":") + ".") == f"{shown}."


@pytest.mark.parametrize("name", canaries.SECRETS)
def test_sixteen_characters_in_a_row_are_a_known_value_too(name: str) -> None:
    secret = canaries.SECRETS[name]
    fragments = [secret[at : at + 16] for at in range(max(1, len(secret) - 15))]
    for fragment in fragments:
        assert "[secret" in REDACTOR.redact(f"<{fragment}>"), fragment
        encoded = base64.b64encode(b"{" + fragment.encode()).decode()
        assert canaries.hits(check(REDACTOR, encoded, canaries.SECRETS)) == []
        assert "[secret" in REDACTOR.redact(encoded), fragment


def test_a_short_value_is_no_secret_as_it_would_eat_words() -> None:
    redactor = Redactor({"A_TOKEN": "drift", "B_TOKEN": "1234567", "C_TOKEN": " a b c d ", "D_TOKEN": ""})
    text = "drift of 1234567, abcd"
    assert redactor.redact(text) == text
    assert Redactor({"E_TOKEN": "12345678"}).redact("12345678") == "[secret E_TOKEN]"


@pytest.mark.parametrize(
    "secret",
    ["!@#$%^&*()_+", "a$b%c^d&e*f(g)h!i@j#k+l=m", "пароль-биржи-2026", "correct horse battery", "\ud800" * 9],
)
def test_a_value_of_few_letters_or_of_another_alphabet_is_found_as_well(secret: str) -> None:
    redactor = Redactor({"X_PASSWORD": secret})
    data = secret.encode("utf-8", "surrogatepass")
    spellings = [
        secret,
        "".join(f"%{byte:02X}" for byte in data),
        base64.b64encode(data).decode(),
        data.hex(),
    ]
    spellings += [json.dumps(secret), base64.b64encode(base64.b64encode(data)).decode(), secret[::-1]]
    for spelling in spellings:
        for text in (spelling, f"a{spelling}b", f"{spelling[:5]}\n{spelling[5:]}"):
            assert "[secret X_PASSWORD]" in redactor.redact(text), text
            assert secret not in redactor.redact(text)


def test_the_bytes_that_a_hex_or_base64_secret_stands_for_are_secret_too() -> None:
    as_hex, as_base64 = canaries.SECRETS["PORTFOLIO_REBALANCE_API_SECRET"], canaries.SECRETS["KRAKEN_SECRET"]
    spelled = base64.b64encode(b"k" + bytes.fromhex(as_hex)).decode()
    assert "[secret PORTFOLIO_REBALANCE_API_SECRET]" in REDACTOR.redact(spelled)
    assert REDACTOR.redact(base64.b64decode(as_base64).hex()) == "[secret KRAKEN_SECRET]"


def test_a_longer_value_gives_the_name_where_two_have_a_part_in_common() -> None:
    redactor = Redactor({"A_TOKEN": KEY[:30], "Z_TOKEN": KEY})
    assert redactor.redact(f"{KEY} {KEY[:30]}") == "[secret Z_TOKEN] [secret Z_TOKEN]"


def test_a_name_that_would_tell_a_secret_is_not_shown() -> None:
    redactor = Redactor({"hunter2hunter": "x" * 9, "B_TOKEN": "hunter2hunter", "a b]\n": "y" * 9})
    assert redactor.redact("x" * 9 + " hunter2hunter " + "y" * 9) == "[secret] [secret B_TOKEN] [secret]"


def test_a_value_next_to_an_earlier_placeholder_is_found() -> None:
    shown = "[secret ANTHROPIC_API_KEY]"
    assert REDACTOR.redact(f"[secret]{KEY}{shown}{KEY}") == f"[secret]{shown}{shown}{shown}"
    # Somebody else's placeholder is no hiding place.
    assert KEY not in REDACTOR.redact(f"[secret {KEY}]")


def test_no_repr_shows_a_value() -> None:
    assert canaries.hits(f"{REDACTOR!r} {REDACTOR}") == []


# --- whatever surrounds it -------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    before=st.text(max_size=12),
    after=st.text(max_size=12),
    encoding=st.sampled_from(sorted(canaries.ENCODINGS)),
    name=st.sampled_from(sorted(canaries.SECRETS)),
)
def test_whatever_surrounds_an_encoded_value_nothing_is_left_of_it(
    before: str, after: str, encoding: str, name: str
) -> None:
    text = before + canaries.ENCODINGS[encoding](canaries.SECRETS[name]) + after
    assert "[secret" in check(REDACTOR, text, canaries.SECRETS)


@settings(max_examples=60)
@given(
    text=st.text(alphabet=st.characters(exclude_categories=()), max_size=200)
    | st.text(alphabet="%\\ux0123456789abcdefABCDEF&#;=+/-_[]secret \n", max_size=200)
)
def test_no_text_raises_and_redacting_twice_changes_nothing_more(text: str) -> None:
    for redactor in (REDACTOR, NOTHING_KNOWN):
        once = redactor.redact(text)
        assert redactor.redact(once) == once


@settings(max_examples=40)
@given(secret=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_any_printable_value_is_found_raw_and_encoded(secret: str) -> None:
    redactor = Redactor({"X_TOKEN": secret})
    data = secret.encode()
    for text in (
        secret,
        base64.b64encode(b"ab" + data).decode(),
        data.hex(),
        "\n".join(secret),
        secret[::-1],
    ):
        assert secret not in redactor.redact(f"({text})")
        assert "[secret" in redactor.redact(f"({text})")


# --- JSON ------------------------------------------------------------------------------------------------


def test_json_is_redacted_in_keys_values_and_numbers_and_keeps_its_shape() -> None:
    redactor = Redactor({"A_TOKEN": "tok-0123456789ab", "PIN_PASSWORD": "4815162342"})
    value = {
        "tok-0123456789ab": [1, 2.5, True, None, "see tok-0123456789ab"],
        "nested": ({"deep": "dG9rLTAxMjM0NTY3ODlhYg=="},),
        "pin": 4815162342,
        "capital": 4815162341,
    }
    assert redactor.redact_json(value) == {
        "[secret A_TOKEN]": [1, 2.5, True, None, "see [secret A_TOKEN]"],
        "nested": [{"deep": "[secret A_TOKEN]=="}],
        "pin": "[secret PIN_PASSWORD]",
        "capital": 4815162341,
    }
    assert list(value) == ["tok-0123456789ab", "nested", "pin", "capital"]


def test_keys_that_become_equal_are_all_kept() -> None:
    redactor = Redactor({"A_TOKEN": "tok-0123456789ab"})
    value = {"tok-0123456789ab": 1, "TOK-0123456789AB": 2}
    assert redactor.redact_json(value) == {"[secret A_TOKEN]": 1, "[secret A_TOKEN] (2)": 2}


def test_a_value_under_the_name_of_a_credential_goes_whatever_it_looks_like() -> None:
    value = {
        "Authorization": "Basic x",
        "x-api-key": "abc",
        "set-cookie": "a=b",
        "model": "m",
        "password": "",
    }
    assert NOTHING_KNOWN.redact_json(value) == {
        "Authorization": "[secret]",
        "x-api-key": "[secret]",
        "set-cookie": "[secret]",
        "model": "m",
        "password": "",
    }
    shown = {"authorization": "Bearer [secret ANTHROPIC_API_KEY]"}
    assert REDACTOR.redact_json({"authorization": f"Bearer {KEY}"}) == shown
    assert REDACTOR.redact_json(shown) == shown


def test_json_without_end_or_of_strange_things_does_not_raise() -> None:
    value: object = KEY
    for _ in range(5_000):
        value = [value]
    assert canaries.hits(repr(REDACTOR.redact_json(value))) == []
    assert REDACTOR.redact_json(Path(KEY)) == "[secret ANTHROPIC_API_KEY]"  # type: ignore[comparison-overlap]


# --- credentials by their looks --------------------------------------------------------------------------

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrY\nSzN0/+==\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("key sk-ant-api03-abcDEF123456_-xyz end", "key [secret] end"),
        ("sk-proj-abcdefghij0123456789", "[secret]"),
        ("curl -H 'Authorization: Bearer abcdefghijkl0'", "curl -H 'Authorization: Bearer [secret]'"),
        ("bearer aBcdefghijklmnop", "bearer [secret]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("{'authorization': 'token 0a1b2c3d4e'}", "{'authorization': 'token [secret]'}"),
        ("(b'Authorization', b'abcd1234efgh')", "(b'Authorization', b'[secret]')"),
        ('{\\"x-api-key\\": \\"abcd1234\\"}', '{\\"x-api-key\\": \\"[secret]\\"}'),
        ("X-MBX-APIKEY: vmPUZE6mv9SD5VNHk4", "X-MBX-APIKEY: [secret]"),
        ("Cookie: session=abc; theme=dark\nnext", "Cookie: [secret]\nnext"),
        ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[secret]"),
        ("github_pat_11ABCDEFG0123456789_abcdef", "[secret]"),
        ("xoxb-123456789012-abcdefABCDEF", "[secret]"),
        ("AIzaSyA0123456789-abcdefghijklmnopqrstu", "[secret]"),
        (f"token {JWT}.", "token [secret]."),
        (f"a\n{PEM}\nb", "a\n[secret]\nb"),
        *((PEM[:cut], "[secret]") for cut in (31, 40, 55, 57, 60, 70)),
        (json.dumps({"a": PEM[:50], "b": 1}), '{"a": "[secret]", "b": 1}'),
        ("api_key=abcd1234", "api_key=[secret]"),
        ("API-KEY: 'abcd1234!'", "API-KEY: '[secret]'"),
        ("password = hunter2hunter2;", "password = [secret];"),
        ('"client_secret": "0f0f0f0f0f0f0f0f"', '"client_secret": "[secret]"'),
        ("?token=a1b2c3d4e5&x=1", "?token=[secret]&x=1"),
        ("key=Zk3v9QmT7xLp2RwB8n", "key=[secret]"),
        ("bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1/getMe", "bot[secret]/getMe"),
        ("https://user:pass@host/path", "https://[secret]@host/path"),
        ("redis://:pa55@host:6379", "redis://[secret]@host:6379"),
        ("https://abcdefgh12345678@host", "https://[secret]@host"),
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str, redacted: str) -> None:
    for redactor in (NOTHING_KNOWN, REDACTOR):
        assert redactor.redact(text) == redacted
        assert redactor.redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "plan 273b528ec93b520e6fd2c14f33a9f351457d1b88b392f40f1b54184a966c7e84 of run-1a28ad049b654301",
        "key: 273b528ec93b520e6fd2c14f33a9f351457d1b88b392f40f1b54184a966c7e84",
        '{"key": "run-1a28ad049b654301-20191001T020000Z"}',
        "key: correlation-window-30-days",
        "key = 2019-10-01T02:00:00+00:00",
        "tokens: 12345678, input_tokens=1048576, max_tokens: 64000usd",
        "Authorization: approved by a person",
        "authorization: required, x-api-key: required",
        "Set PORTFOLIO_REBALANCE_API_KEY and PORTFOLIO_REBALANCE_API_SECRET where you execute.",
        "api_key=$ANTHROPIC_API_KEY",
        "password: /home/trader2/.config/pass",
        "passphrase: asked on the terminal",
        "Bearer instruments carry risk; basic 30-day-windows do not",
        "risk-adjusted-and-volatility-weighted-2024 sk-learn",
        "STR-ETH-DONCHIAN 20400.00 USDT, -3.33 %, 0.48, 1e-9, F12, {F12}, S1, D2",
        "/home/trader/.crypto/live-monitoring/live-performance/STR-VOLTARGET/snapshot-2019-10-01T010000Z.yaml",
        "see https://docs.python.org/3.11/library/re.html#x@y and git@github.com:a/b.git, ssh://git@host/a",
        "https://api.binance.com:443/api/v3/order?symbol=BTCUSDT mail trader@example.com",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0ba2d5d6c15b0f00a08",
        "the key is not here, nor the token, the secret or the cookie",
        "claude-opus-5-5 (end_turn) req_011CSHoEeqs5C35K2UUqR7Fy toolu_01A09q90qw90lq917835lq9",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert NOTHING_KNOWN.redact(text) == text
    assert REDACTOR.redact(text) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_of_the_project_stay_as_they_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text) > 1_000
    assert NOTHING_KNOWN.redact(text) == text
    assert REDACTOR.redact(text) == text


def test_the_output_of_a_real_dry_run_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--demo", "--json"]) == 0
    as_of = json.loads(capsys.readouterr().out)["as_of"]
    for words in (["--as-of", as_of, "--json"], ["--as-of", as_of]):
        assert cli.main(words) == 0
        text = capsys.readouterr().out
        assert len(text) > 500
        for redactor in (NOTHING_KNOWN, REDACTOR):
            assert redactor.redact(text) == text
            if "--json" in words:
                assert redactor.redact_json(json.loads(text)) == json.loads(text)


# --- hostile texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["backslashes", "nested percent", "base64 of base64", "key names", "headers", "URLs", "cut keys"]
)
def test_a_hundred_kilobytes_of_anything_take_no_more_than_moments(kind: str) -> None:
    check_time(REDACTOR, HOSTILE[kind])


# --- lists -----------------------------------------------------------------------------------------------


def test_credentials_are_told_by_the_names_of_their_variables() -> None:
    environment = {
        "ANTHROPIC_API_KEY": " value-one\n",
        "PORTFOLIO_REBALANCE_API_SECRET": "value-two",
        "OPENAI_API_KEY": "value-three",
        "telegram_bot_token": "value-four",
        "DB_PASSWORD": "value-five",
        "OKX_PASSPHRASE": "value-six",
        "AWS_SECRET_ACCESS_KEY": "value-seven",
        "GITHUB_TOKEN": "short",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
        "KEYBOARD": "qwertyuiop",
        "ANTHROPIC_CUSTOM_HEADERS": "x-gateway: Bearer gateway-1234\nanthropic-beta: some-feature\nx: y",
    }
    assert known_secrets(environment) == {
        "ANTHROPIC_API_KEY": "value-one",
        "PORTFOLIO_REBALANCE_API_SECRET": "value-two",
        "OPENAI_API_KEY": "value-three",
        "telegram_bot_token": "value-four",
        "DB_PASSWORD": "value-five",
        "OKX_PASSPHRASE": "value-six",
        "AWS_SECRET_ACCESS_KEY": "value-seven",
        "ANTHROPIC_CUSTOM_HEADERS_1": "gateway-1234",
    }
    assert known_secrets(canaries.SECRETS) == canaries.SECRETS


def test_only_headers_on_the_list_are_kept() -> None:
    headers = {
        "Content-Type": "application/json",
        "Request-Id": "req_1",
        "Retry-After": "3",
        "X-Should-Retry": "true",
        "anthropic-version": "2023-06-01",
        "Anthropic-RateLimit-Tokens-Remaining": "9",
        "Authorization": f"Bearer {KEY}",
        "X-Api-Key": KEY,
        "Cookie": "a=b",
        "Set-Cookie": "a=b",
        "Proxy-Authorization": "Basic x",
        "x-gateway-session": "anything",
    }
    assert allowed_headers(headers) == {
        "content-type": "application/json",
        "request-id": "req_1",
        "retry-after": "3",
        "x-should-retry": "true",
        "anthropic-version": "2023-06-01",
        "anthropic-ratelimit-tokens-remaining": "9",
    }


# --- the canaries themselves -----------------------------------------------------------------------------


def test_canaries_are_found_in_names_bytes_links_and_cells_of_a_folder(tmp_path: Path) -> None:
    key, secret = canaries.SECRETS["ANTHROPIC_AUTH_TOKEN"], canaries.SECRETS["KRAKEN_SECRET"]
    (tmp_path / "clean.txt").write_text("nothing to see")
    assert canaries.hits_in_folder(tmp_path) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / f"log-{key[:20]}.txt").write_bytes(b"\xff\x00" + secret.encode("utf-16"))
    (tmp_path / "link").symlink_to(f"/nowhere/{KEY}")
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE row (text, bytes)")
    connection.execute("INSERT INTO row VALUES (?, ?)", ("x" * 5_000 + KEY, key.encode()))
    connection.commit()
    before = sorted(path.name for path in tmp_path.iterdir())
    found = {(hit.name, hit.where) for hit in canaries.hits_in_folder(tmp_path)}
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    connection.close()
    log = f"sub/log-{key[:20]}.txt"
    assert {
        ("ANTHROPIC_AUTH_TOKEN", f"the name of {log}"),
        ("KRAKEN_SECRET", log),
        ("ANTHROPIC_API_KEY", "link"),
        ("ANTHROPIC_API_KEY", "ledger.db, cells"),
        ("ANTHROPIC_AUTH_TOKEN", "ledger.db, cells"),
    } <= found
