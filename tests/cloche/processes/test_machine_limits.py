"""A machine without memory or room: one sentence and exit code 1, from any command."""

import errno

import click
import pytest

from cloche import main
from cloche.processes.machine_limits import exhausted_resource


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.ENOSPC, "full"), "room (No space left on device)"),
        (OSError(errno.ENOENT, "absent"), ""),
        (ValueError("of the model"), ""),
    ],
)
def test_what_the_machine_lacks_is_told_from_what_fails_on_it(error, found, monkeypatch, capsys):
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = error
    assert exhausted_resource(error) == exhausted_resource(wrapped) == found

    def fail() -> None:
        raise wrapped

    monkeypatch.setattr(main, "cloche", click.Command("fail", callback=fail))
    if found:
        with pytest.raises(SystemExit) as ended:
            main.main([])
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert said == f"Error: the machine has no more {found}; make room, and run this again\n"
        monkeypatch.setattr(main, "cloche", click.Command("fail", callback=dict))
        with pytest.raises(SystemExit) as ended:
            main.main([])
        assert ended.value.code == 0
    else:
        with pytest.raises(RuntimeError):
            main.main([])
