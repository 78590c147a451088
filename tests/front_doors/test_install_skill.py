"""Installing the skill: idempotent, and never over what a person wrote."""

from __future__ import annotations

from importlib.resources import files

import pytest

from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.skill_install import SKILL_PATH, install_skill

SHIPPED = files("portfolio_rebalance").joinpath("skill", "SKILL.md").read_bytes()


def other_version(number: int) -> bytes:
    return SHIPPED.replace(b"skill, version 1;", b"skill, version %d;" % number).replace(b"Run", b"Walk")


def there(root):
    return root / SKILL_PATH


def placed(root, content: bytes):
    there(root).parent.mkdir(parents=True)
    there(root).write_bytes(content)
    return there(root)


def test_it_stands_where_an_agent_looks(tmp_path):
    path = install_skill(tmp_path)
    assert path == tmp_path / ".claude/skills/trading-portfolio-rebalance/SKILL.md"
    assert path.read_bytes() == SHIPPED
    assert [file.name for file in path.parent.iterdir()] == ["SKILL.md"]


def test_again_changes_nothing(tmp_path):
    before = install_skill(tmp_path).stat()
    assert install_skill(tmp_path).stat() == before


def test_an_older_version_of_ours_is_replaced(tmp_path):
    path = placed(tmp_path, other_version(0))
    install_skill(tmp_path)
    assert path.read_bytes() == SHIPPED


@pytest.mark.parametrize(
    "content",
    [b"", b"mine\n", other_version(1), other_version(2)],
    ids=["empty", "theirs", "edited", "newer"],
)
def test_anything_else_is_refused_and_kept(tmp_path, content):
    path = placed(tmp_path, content)
    with pytest.raises(UsageError, match="Another file"):
        install_skill(tmp_path)
    assert path.read_bytes() == content


def test_a_link_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere.md"
    elsewhere.write_bytes(other_version(0))
    there(tmp_path).parent.mkdir(parents=True)
    there(tmp_path).symlink_to(elsewhere)
    with pytest.raises(UsageError):
        install_skill(tmp_path)
    assert elsewhere.read_bytes() == other_version(0)


def test_a_folder_in_its_place_is_refused(tmp_path):
    there(tmp_path).mkdir(parents=True)
    with pytest.raises(UsageError):
        install_skill(tmp_path)


def test_a_missing_root_is_not_created(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        install_skill(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
