"""Every command and option on the page about training exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer.main

from napari_fddm.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_every_command_on_the_page_exists():
    blocks = "\n".join(re.findall(r"```(?:sh|console|text)\n(.*?)```", PAGE, re.DOTALL))
    lines = re.findall(r"^(?:\$ )?napari-fddm (.*)$", blocks, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line, comments=True)
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {w for w in words if w.startswith("-")} <= known, line


def test_every_option_in_the_text_exists():
    command = typer.main.get_command(app)
    known = {
        option
        for group in ("dataset", "train")
        for sub in command.commands[group].commands.values()
        for parameter in sub.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {o for p in command.commands["run"].params for o in p.opts}
    shown = set(re.findall(r"`(--[a-z][a-z-]+)", PAGE))
    assert len(shown) > 10
    assert shown <= known
