"""A real bash, whose user types a part of a command and presses TAB."""

import os
import pty
import select
import subprocess
import time

from tests.shell import environment

READ_SECONDS = 60.0


class Terminal:
    """An interactive bash that has read what `cloche completion bash` prints."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment() | {"TERM": "dumb", "PS1": "> "}, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.type('eval "$(cloche completion bash)"; echo rea""dy\n')
        self.read_until("ready")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, wanted: str) -> str:
        seen, end = "", time.monotonic() + READ_SECONDS
        while wanted not in seen:
            ready, _, _ = select.select([self._ours], [], [], max(0, end - time.monotonic()))
            assert ready, f"{wanted!r} is not in {seen!r}"
            seen += os.read(self._ours, 4096).decode()
        return seen

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def test_tab_completes_commands_options_and_values():
    terminal = Terminal()
    try:
        for typed, completed in (
            ("cloche rollb\t", "cloche rollback "),
            ("cloche serve --max-bat\t", "--max-batch-rows "),
            ("cloche serve --env-manager virt\t", "--env-manager virtualenv "),
        ):
            terminal.type(typed)
            terminal.read_until(completed)
            terminal.type("\x15")  # ends this line
    finally:
        terminal.end()
