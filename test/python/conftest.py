"""What every test is given: the client, synchronous and asynchronous, and one way to wait for both."""

import asyncio
import inspect
import json
import os
import time

import fal_client
import httpx
import pytest

MOUNT = os.environ["KEYWAY_MOUNT"]
EMULATOR = os.environ["KEYWAY_EMULATOR"]
HOOKS = os.environ["KEYWAY_HOOKS"]

outcomes = []


class Wait:
    """Waits for what the asynchronous client promises; what the synchronous one answers is there already."""

    def __init__(self, loop):
        self._loop = loop

    def __call__(self, answer):
        return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    def each(self, events):
        """The events one by one, as they come."""
        if not hasattr(events, "__anext__"):
            yield from events
            return
        while True:
            try:
                yield self(events.__anext__())
            except StopAsyncIteration:
                return

    def open(self, context, stack):
        """Enters a context manager of either kind; the stack leaves it."""
        if hasattr(context, "__aenter__"):
            stack.callback(lambda: self(context.__aexit__(None, None, None)))
            return self(context.__aenter__())
        return stack.enter_context(context)


@pytest.fixture(params=["sync", "async"])
def flavour(request):
    return request.param


@pytest.fixture
def create(flavour):
    return fal_client.SyncClient if flavour == "sync" else fal_client.AsyncClient


@pytest.fixture
def client(create):
    """On its defaults: hosts and key come from the environment."""
    return create()


@pytest.fixture
def wait():
    loop = asyncio.new_event_loop()
    yield Wait(loop)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture
def mark(request):
    """A text that tells this test's calls from all others."""
    return f"{request.node.name} {MOUNT}"


@pytest.fixture
def arrived():
    """The calls that reached the upstream, by a text in their body."""

    def find(text):
        listed = httpx.get(f"{EMULATOR}/__calls").json()
        return [call for call in listed if json.dumps(text) in (call.get("body") or "")]

    return find


@pytest.fixture
def delivered():
    """The first delivery of a webhook to an address that starts so and names the job; waits for it."""

    def find(start, request_id):
        until = time.monotonic() + 15
        while time.monotonic() < until:
            for one in httpx.get(f"{EMULATOR}/__deliveries").json():
                if one["url"].startswith(start) and request_id.startswith(one["requestId"]):
                    return one
            time.sleep(0.05)
        raise AssertionError(f"nothing was delivered to {start}")

    return find


def pytest_configure(config):
    config.addinivalue_line("markers", "pattern(name): the row of the table that a test stands for")


def pytest_runtest_makereport(item, call):
    if call.when != "call" and call.excinfo is None:
        return
    marker = item.get_closest_marker("pattern")
    outcomes.append(
        {
            "pattern": marker.args[0] if marker else "documentation",
            "client": f"python {item.callspec.params['flavour'] if marker else 'sync'}",
            "title": item.name,
            "passed": call.excinfo is None,
        }
    )


def pytest_sessionfinish():
    with open(os.environ["KEYWAY_OUTCOMES"], "w", encoding="utf8") as file:
        json.dump(outcomes, file)
