"""fal's own Python client through an example app, in path form. Its key is the app's token."""

import json
import re
from contextlib import ExitStack

import fal_client
import httpx
import pytest

from conftest import HOOKS, MOUNT

QUEUE = f"{MOUNT}/queue.fal.run"
SEALED = re.compile(r"^[0-9a-f-]{36}\.[\w-]{22}$")


@pytest.mark.pattern("run")
def test_run(client, wait):
    given = {"prompt": "é😀", "seed": 7}
    assert wait(client.run("demo/echo", arguments=given)) == given


@pytest.mark.pattern("run")
def test_run_of_a_path(client, wait):
    assert wait(client.run("demo/echo", arguments={"a": 1}, path="/fast")) == {"a": 1}


@pytest.mark.pattern("subscribe")
def test_subscribe_with_logs(client, wait):
    ids, states, lines = [], [], []

    def update(status):
        states.append(type(status))
        if not isinstance(status, fal_client.Queued):
            lines.extend(log["message"] for log in status.logs)

    result = wait(
        client.subscribe(
            "demo/image",
            arguments={"prompt": "a lighthouse"},
            with_logs=True,
            on_enqueue=ids.append,
            on_queue_update=update,
        )
    )
    assert result["prompt"] == "a lighthouse"
    assert len(ids) == 1 and SEALED.match(ids[0])
    assert states[-1] is fal_client.Completed
    assert "100% (4/4 steps)" in lines


@pytest.mark.pattern("subscribe")
def test_subscribe_that_takes_too_long_cancels(client, wait, arrived, mark):
    with pytest.raises(fal_client.FalClientTimeoutError) as raised:
        wait(client.subscribe("demo/slow", arguments={"seconds": 100_000, "mark": mark}, client_timeout=1.1))
    assert SEALED.match(raised.value.request_id)
    with pytest.raises(fal_client.FalClientHTTPError) as gone:
        wait(client.result("demo/slow", raised.value.request_id))
    assert gone.value.status_code == 499


@pytest.mark.pattern("queue")
def test_queue(client, wait):
    handle = wait(client.submit("demo/image/fast", arguments={"prompt": "a lighthouse"}))
    assert SEALED.match(handle.request_id)
    job = f"{QUEUE}/demo/image/requests/{handle.request_id}"
    assert [handle.response_url, handle.status_url, handle.cancel_url] == [job, f"{job}/status", f"{job}/cancel"]
    *_, last = wait.each(handle.iter_events(with_logs=True))
    assert isinstance(last, fal_client.Completed) and last.logs and "inference_time" in last.metrics
    assert wait(handle.status()).logs is None
    assert wait(handle.get())["prompt"] == "a lighthouse"


@pytest.mark.pattern("queue")
def test_queue_by_request_id(client, wait):
    handle = wait(client.submit("demo/echo", arguments={"a": 1}))
    assert wait(client.result("demo/echo", handle.request_id)) == {"a": 1}
    status = wait(client.status("demo/echo", handle.request_id, with_logs=True))
    assert isinstance(status, fal_client.Completed) and status.logs is not None


@pytest.mark.pattern("queue")
def test_job_of_another_user_is_not_there(client, create, wait):
    handle = wait(client.submit("demo/echo", arguments={}))
    origin = MOUNT.removesuffix("/api/fal/proxy")
    bob = httpx.post(f"{origin}/api/session", json={"user": "bob"}).json()["token"]
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        wait(create(key=bob).status("demo/echo", handle.request_id))
    assert raised.value.status_code == 404


@pytest.mark.pattern("cancel")
def test_cancel(client, wait):
    handle = wait(client.submit("demo/slow", arguments={"seconds": 100_000}))
    wait(handle.cancel())
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        wait(handle.get())
    assert raised.value.status_code == 499


@pytest.mark.pattern("cancel")
def test_cancel_by_request_id(client, wait):
    handle = wait(client.submit("demo/slow", arguments={"seconds": 100_000}))
    wait(client.cancel("demo/slow", handle.request_id))
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        wait(client.cancel("demo/slow", handle.request_id))
    assert raised.value.status_code == 400


@pytest.mark.pattern("stream")
def test_stream(client, wait):
    events = wait.each(client.stream("demo/stream", arguments={"prompt": "a lighthouse"}))
    assert [event["progress"] for event in events] == [0.2, 0.4, 0.6, 0.8, 1]


@pytest.mark.pattern("stream")
def test_stream_gives_an_event_before_the_next_is_made(client, wait, mark):
    events = wait.each(client.stream("demo/hold", arguments={"mark": mark}))
    assert next(events) == {"step": 1}
    assert wait(client.run("demo/release", arguments={"mark": mark})) == {"released": True}
    assert list(events) == [{"step": 2}]


@pytest.mark.pattern("webhook")
def test_webhook_of_ones_own(client, wait, delivered):
    handle = wait(client.submit("demo/echo", arguments={"a": "é"}, webhook_url=f"{HOOKS}/here?b=1"))
    delivery = delivered(f"{HOOKS}/here?b=1", handle.request_id)
    assert delivery["status"] == 200
    assert json.loads(delivery["body"])["payload"] == {"a": "é"}
    assert wait(handle.get()) == {"a": "é"}


@pytest.mark.pattern("webhook")
def test_webhook_of_the_app(client, wait, delivered):
    handle = wait(client.submit("demo/echo", arguments={"a": 1}))
    app = MOUNT.removesuffix("proxy") + "webhook?keyway="
    assert delivered(app, handle.request_id)["status"] == 200


@pytest.mark.pattern("webhook")
def test_webhook_elsewhere_is_refused(client, wait, arrived, mark):
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        wait(client.submit("demo/echo", arguments={"mark": mark}, webhook_url="https://another.example/"))
    assert raised.value.status_code == 400
    assert arrived(mark) == []


@pytest.mark.pattern("headers")
def test_headers(client, wait, arrived, mark):
    options = {
        "arguments": {"mark": mark},
        "hint": "warm",
        "start_timeout": 30,
        "headers": {"X-Fal-No-Retry": "1", "X-Fal-Tags": "team=a", "X-Forwarded-For": "10.0.0.1", "X-Custom": "stays"},
    }
    wait(client.run("demo/echo", **options))
    wait(wait(client.submit("demo/echo", priority="low", **options)).get())
    calls = arrived(mark)
    assert [call["kind"] for call in calls] == ["run", "submit"]
    for call in calls:
        crossed = {name.lower(): value for name, value in call["headers"]}
        assert crossed["x-fal-runner-hint"] == "warm"
        assert crossed["x-fal-request-timeout"] == "30.0"
        assert crossed["x-fal-no-retry"] == "1"
        assert crossed["x-fal-tags"] == "team=a"
        assert crossed["user-agent"].startswith("fal-client/")
        assert crossed["authorization"] == "Key (8 characters)"  # the emulator's own, in place of the app's token
        assert not {"x-custom", "x-forwarded-for", "x-fal-target-url"} & set(crossed)
    assert [value for name, value in calls[1]["headers"] if name.lower() == "x-fal-queue-priority"] == ["low"]


@pytest.mark.pattern("headers")
@pytest.mark.parametrize("scheme", ["Bearer", "Key"])
def test_token_by_scheme(client, wait, scheme):
    token = wait(client._auth).header_value.removeprefix("Key ")
    target = f"{MOUNT}/fal.run/demo/echo"
    asked = [
        httpx.post(target, json={"a": 1}, headers=headers).status_code
        for headers in ({"authorization": f"{scheme} {token}"}, {"authorization": f"{scheme} {token}x"}, {})
    ]
    assert asked == [200, 401, 401]


@pytest.mark.pattern("errors")
@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("validation", 422, None),
        ("runner_server_error", 500, "runner_server_error"),
        ("user_timeout", 504, "request_timeout"),
        ("locked", 403, None),
    ],
)
def test_errors_of_fal_pass(client, wait, arrived, mark, name, status, kind):
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        wait(client.run("demo/fail", arguments={"error": name, "mark": mark}))
    assert [raised.value.status_code, raised.value.error_type] == [status, kind]
    assert "x-fal-request-id" in raised.value.response_headers
    assert len(arrived(mark)) == 1


@pytest.mark.pattern("errors")
def test_refusals_are_said_once_and_cost_nothing(client, create, wait, arrived, mark):
    refused = [
        (client, "other/app", 403, "other/app"),
        (create(key="nobody.forged"), "demo/echo", 401, "sign"),
    ]
    for caller, app, status, text in refused:
        with pytest.raises(fal_client.FalClientHTTPError) as raised:
            wait(caller.run(app, arguments={"mark": mark}))
        assert raised.value.status_code == status
        assert isinstance(raised.value.message, str) and text in raised.value.message.lower()
    assert arrived(mark) == []


@pytest.mark.pattern("upload")
def test_upload_as_documented(client, wait, mark):
    token = wait(client._auth)
    place = httpx.post(
        f"{MOUNT}/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
        headers={"authorization": token.header_value},
        json={"content_type": "text/plain", "file_name": "note.txt"},
    ).json()
    httpx.put(place["upload_url"], content=b"hello", headers={"content-type": "text/plain"}).raise_for_status()
    assert httpx.get(place["file_url"]).text == "hello"
    assert wait(client.run("demo/echo", arguments={"file": place["file_url"]})) == {"file": place["file_url"]}


@pytest.mark.pattern("realtime")
def test_realtime(client, wait):
    with ExitStack() as stack:
        connection = wait.open(client.realtime("demo/realtime", use_jwt=False, max_buffering=2), stack)
        for prompt in ("one", "two"):
            wait(connection.send({"prompt": prompt, "request_id": prompt}))
            answer = wait(connection.recv())
            assert answer["request_id"] == prompt
            assert answer["images"][0]["url"].startswith("data:image/png;base64,")


@pytest.mark.pattern("realtime")
def test_realtime_of_a_stranger_is_refused(create, wait):
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as raised, ExitStack() as stack:
        wait.open(create(key="nobody.forged").realtime("demo/realtime", use_jwt=False), stack)
    assert raised.value.response.status_code == 401
