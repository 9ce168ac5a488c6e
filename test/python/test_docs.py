"""Every Python block of docs/clients.md as it stands there, with this app's address in place of the page's."""

import re
from pathlib import Path

import pytest

from conftest import MOUNT

page = (Path(__file__).parents[2] / "docs/clients.md").read_text("utf8")
blocks = re.findall(r"### ([\w-]+)\n((?:(?!\n##).)*?)```python\n(.*?)```", page, re.DOTALL)
says = {"Calls": "Completed(", "Asynchronous": "0.8\n1\n", "Real-time": "data:image/png", "Files": "_note.txt"}


def test_no_block_is_left_out():
    assert [title for title, _, _ in blocks] == list(says)
    assert page.count("```python") == len(says)


@pytest.mark.parametrize(("title", "code"), [pytest.param(title, code, id=title) for title, _, code in blocks])
def test_block(title, code, capsys):
    ours = code.replace("https://app.example/api/fal/proxy", MOUNT).replace("fal-ai/fast-lcm-diffusion", "demo/realtime")
    exec(compile(ours, title, "exec"), {})
    assert says[title] in capsys.readouterr().out
