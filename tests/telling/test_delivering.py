"""Delivery: each notice to each target once, what failed again, and nothing that holds a run up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from canaries import ENCODINGS, SECRETS, hits, hits_in_folder
from endpoints import dead_url, endpoint, silent_url

from portfolio_rebalance.config_notify import Events, Target
from portfolio_rebalance.records import Notice
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.notify import deliver, kept_notices

NOW = datetime(2025, 2, 5, 2, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]


def notice(key: str = "executed/abc", **changes: Any) -> Notice:
    values = {
        "kind": key.partition("/")[0],
        "key": key,
        "title": f"About {key}",
        "text": "Text.",
        "plan_id": None,
        "command": "trading-portfolio-rebalance status",
        "at": NOW,
    }
    return Notice.model_validate(values | changes)


def target(name: str = "phone", **events: str) -> Target:
    return Target(name=name, url_env=f"{name.upper()}_URL", events=Events.model_validate(events))


class Carrier:
    """Remembers what it was given, and fails as told."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.carried: list[tuple[str, str, str]] = []

    def __call__(self, messages: Sequence[tuple[str, str, str]], *, deadline_seconds: float) -> list[str]:
        self.carried += messages
        return [self.problem] * len(messages)


def send(
    root: Path,
    *notices: Notice,
    targets: Sequence[Target] = (target(),),
    at: datetime = NOW,
    carrier: Any = None,
    environment: dict[str, str] | None = None,
) -> tuple[str, ...]:
    known = {one.url_env: f"json://{one.name}" for one in targets}
    return deliver(
        root,
        notices,
        targets=targets,
        environment=known if environment is None else environment,
        now=at,
        carrier=carrier or Carrier(),
    )


def states(root: Path) -> dict[str, str]:
    with Ledger.open(root) as ledger:
        return {str(key): str(state) for key, state in ledger.rows("SELECT key, state FROM notices")}


def test_the_same_notice_is_told_once(tmp_path: Path) -> None:
    carrier = Carrier()
    assert send(tmp_path, notice(), notice(), carrier=carrier) == ()
    assert send(tmp_path, notice(text="in other words"), carrier=carrier) == ()
    ((address, title, text),) = carrier.carried
    assert (address, title) == ("json://phone", "About executed/abc")
    assert text == "Text.\n\ntrading-portfolio-rebalance status"
    assert states(tmp_path) == {"phone/executed/abc": "sent"}


def test_each_target_is_told_what_it_wants_to_hear(tmp_path: Path) -> None:
    carrier = Carrier()
    targets = (target(), target("mail", executed="silent", reverted="off"))
    send(tmp_path, notice(), notice("reverted/abc"), targets=targets, carrier=carrier)
    assert [address for address, _, _ in carrier.carried] == ["json://phone"]
    assert states(tmp_path) == {
        "phone/executed/abc": "sent",
        "phone/reverted/abc": "sent",
        "mail/executed/abc": "silent",
    }


def test_several_notices_are_one_message_with_every_command(tmp_path: Path) -> None:
    carrier = Carrier()
    send(tmp_path, notice("executed/a", command="one"), notice("executed/b", command="two"), carrier=carrier)
    ((_, title, text),) = carrier.carried
    assert title == "Portfolio rebalance: 2 notices"
    assert text.splitlines() == ["About executed/a", "Text.", "one", "", "About executed/b", "Text.", "two"]


def test_a_flood_is_a_short_message_that_begins_with_what_is_urgent(tmp_path: Path) -> None:
    carrier = Carrier()
    pairs = [
        notice(
            f"extreme_correlation/{number}", title=f"STR-{number} and STR-{number + 1} correlate", command="s"
        )
        for number in range(1_500)
    ]
    send(tmp_path, *pairs, notice("halt/all", command="resume"), carrier=carrier)
    ((_, title, text),) = carrier.carried
    assert title == "Portfolio rebalance: 1501 notices"
    assert text.startswith("About halt/all\nText.\nresume\n\n")
    assert len(text) < 1_900
    told = text.count(" correlate\n")
    assert text.endswith(f"\n\n{1_500 - told} more: extreme correlation\ns")
    assert set(states(tmp_path).values()) == {"sent"}


def test_what_failed_is_tried_again_and_then_never_more(tmp_path: Path) -> None:
    (warning,) = send(tmp_path, notice(), carrier=Carrier("it is on fire"))
    assert warning == "phone was not notified: it is on fire; it is tried again"
    assert states(tmp_path) == {"phone/executed/abc": "failed"}
    carrier = Carrier()
    later = NOW + timedelta(seconds=1)
    assert send(tmp_path, notice("reverted/xyz"), at=later, carrier=carrier) == ()
    assert "2 notices" in carrier.carried[0][1]
    assert send(tmp_path, notice(), at=later + timedelta(minutes=2), carrier=carrier) == ()
    assert len(carrier.carried) == 1


def test_an_event_is_news_for_a_week_and_a_condition_for_its_day(tmp_path: Path) -> None:
    send(tmp_path, notice(), notice("halt/all/2025-02-05"), carrier=Carrier("no"))
    carrier = Carrier("no")
    send(tmp_path, at=NOW + timedelta(days=1), carrier=carrier)
    assert [title for _, title, _ in carrier.carried] == ["About executed/abc"]
    send(tmp_path, at=NOW + timedelta(days=8), carrier=carrier)
    assert len(carrier.carried) == 1


def test_what_another_process_claimed_is_left_to_it_for_a_minute(tmp_path: Path) -> None:
    class Ends:
        def __call__(self, messages: Any, *, deadline_seconds: float) -> list[str]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(tmp_path, notice(), carrier=Ends())
    carrier = Carrier()
    send(tmp_path, notice(), at=NOW + timedelta(seconds=59), carrier=carrier)
    assert carrier.carried == []
    send(tmp_path, at=NOW + timedelta(seconds=61), carrier=carrier)
    assert len(carrier.carried) == 1


def test_a_missing_variable_is_named_and_the_others_are_told(tmp_path: Path) -> None:
    carrier = Carrier()
    warnings = send(
        tmp_path,
        notice(),
        targets=(target("gone"), target()),
        environment={"GONE_URL": " ", "PHONE_URL": "json://phone"},
        carrier=carrier,
    )
    assert warnings == (
        "gone was not notified: the environment variable GONE_URL is not set; it is tried again",
    )
    assert len(carrier.carried) == 1


def test_whatever_breaks_is_a_warning_and_shows_no_address(tmp_path: Path) -> None:
    class Breaks:
        def __call__(self, messages: Any, *, deadline_seconds: float) -> list[str]:
            raise RuntimeError(messages[0][0])

    (warning,) = send(tmp_path, notice(), carrier=Breaks())
    assert warning == "phone was not notified: sending failed (RuntimeError); it is tried again"
    (tmp_path / "file").write_text("")
    (warning,) = send(tmp_path / "file", notice())
    assert warning.startswith("notifications failed (LedgerError)")


def test_nobody_to_tell_anything_to_sends_nothing(tmp_path: Path) -> None:
    carrier = Carrier()
    assert send(tmp_path, carrier=carrier) == ()
    assert send(tmp_path, notice(), targets=(), carrier=carrier) == ()
    assert carrier.carried == []


def test_silent_and_failed_ones_are_kept_for_status(tmp_path: Path) -> None:
    assert kept_notices(tmp_path, since=NOW) == ()
    targets = (target(), target("mail", executed="silent"))
    send(tmp_path, notice(), targets=targets, carrier=Carrier("no"))
    kept = kept_notices(tmp_path, since=NOW)
    assert [(one.target, one.state) for one in kept] == [("phone", "failed"), ("mail", "silent")]
    assert kept[0].notice == notice()
    assert kept_notices(tmp_path, since=NOW + timedelta(seconds=1)) == ()


def test_no_credential_is_in_a_notice_however_it_is_spelled(tmp_path: Path) -> None:
    secrets = {**SECRETS, "PHONE_URL": "json://user:OuterSecretOfTheAddress99@127.0.0.1"}
    carrier = Carrier("no")
    notices = [
        notice(f"executed/{place}", title=spelled, text=spelled, command=f"--workspace {spelled}")
        for place, spell in enumerate(list(ENCODINGS.values())[:8])
        for spelled in [" ".join(map(spell, secrets.values()))]
    ]
    warnings = send(tmp_path, *notices, environment=secrets, carrier=carrier)
    ((_, title, text),) = carrier.carried
    assert hits(f"{title}\n{text}\n{warnings}", secrets) == []
    assert hits_in_folder(tmp_path, secrets) == []


# Real endpoints, by apprise.


def test_apprise_posts_it(tmp_path: Path) -> None:
    with endpoint() as phone:
        warnings = deliver(
            tmp_path,
            [notice(text="<b>1 & 2</b>\nline two")],
            targets=[target()],
            environment={"PHONE_URL": phone.url},
            now=NOW,
        )
        assert warnings == ()
        assert phone.titles == ["About executed/abc"]
        assert phone.texts == ["<b>1 & 2</b>\nline two\n\ntrading-portfolio-rebalance status"]


def test_dead_hanging_refusing_and_misspelled_endpoints_hold_nobody_up(tmp_path: Path) -> None:
    names = ("dead", "hanging", "refusing", "misspelled", "phone")
    began = time.monotonic()
    with endpoint() as phone, endpoint() as refusing, silent_url() as hanging:
        refusing.status = 500
        urls = (dead_url(), hanging, refusing.url, "nonsense", phone.url)
        warnings = deliver(
            tmp_path,
            [notice()],
            targets=[target(name) for name in names],
            environment={f"{name.upper()}_URL": url for name, url in zip(names, urls, strict=True)},
            now=NOW,
            deadline_seconds=3,
        )
        assert phone.titles == ["About executed/abc"]
    assert time.monotonic() - began < 8
    assert [warning.partition(":")[0] for warning in warnings] == [
        f"{name} was not notified" for name in names[:-1]
    ]
    assert "no answer within 3 seconds" in warnings[1]
    assert "127.0.0.1" not in str(warnings)
    assert list(states(tmp_path).values()) == ["failed"] * 4 + ["sent"]


_RACER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from portfolio_rebalance.config_notify import Target
from portfolio_rebalance.records import Notice
from portfolio_rebalance.workspace.notify import deliver

now = datetime.fromisoformat("2025-02-05T02:00:00+00:00")
notices = [
    Notice(kind="executed", key=f"executed/{n}", title=f"t{n}", text="x", plan_id=None, command="c", at=now)
    for n in range(20)
]
sys.stdin.readline()
for notice in notices:
    def carrier(messages, *, deadline_seconds):
        with open(sys.argv[2], "a") as log:
            for _, title, _ in messages:
                log.write(title + "\\n")
        return [""] * len(messages)
    warnings = deliver(
        Path(sys.argv[1]), [notice], targets=[Target(name="phone", url_env="U")], environment={"U": "json://x"},
        now=now, carrier=carrier,
    )
    assert warnings == (), warnings
"""


def test_of_two_processes_one_sends(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    words = [sys.executable, "-c", _RACER, str(tmp_path / "workspace"), str(tmp_path / "log")]
    racers = [subprocess.Popen(words, stdin=subprocess.PIPE, cwd=REPOSITORY) for _ in range(2)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
        assert racer.returncode == 0
    told = (tmp_path / "log").read_text().split()
    assert sorted(told) == sorted(f"t{n}" for n in range(20))


def test_without_the_extra_it_is_said_how_to_install_it(tmp_path: Path) -> None:
    """The child looks for apprise where this interpreter does; here that place has a broken one."""
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')\n")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "portfolio_rebalance.courier"],
        input=json.dumps([["json://x", "t", "m"]]),
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    place, problem = json.loads(ran.stdout)
    assert place == 0
    assert "trading-portfolio-rebalance[notify]" in problem
