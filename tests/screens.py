"""What a command prints for a user's mistake."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rl import cli


def error_screen(capsys: pytest.CaptureFixture[str], argv: Sequence[str], *words: str) -> str:
    """Run `ucoder` on what it has to refuse; returns the screen, which names what was wrong, where, and what to do, and has these words."""
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert left.value.code == 2 and out == "", f"status {left.value.code}: {out}{err}"
    assert [line[:7] for line in err.splitlines() if line[:1] != " "] == ["ucoder ", "what   ", "where  ", "do     "], err
    assert len(err) < 1000
    for word in words:
        assert word in err, err
    return err
