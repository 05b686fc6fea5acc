"""The app page's server: who may enter, what it carries, and that it leaves nothing; by real sockets."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from toydiff import InputError, cli
from toydiff.explorer import compute
from toydiff.explorer.app import app_server
from toydiff.explorer.app.address import Address
from toydiff.explorer.app.app_server import AppServer
from toydiff.explorer.app.framing import pack, unpack
from toydiff.explorer.compute import QUICK, Quality
from toydiff.explorer.state import State

BUFFERS = [b"", b"1", b"1234567", b"12345678", bytes(range(256)) * 33]


class Counter:
    """A session made up: it adds, sends back, and sends from threads."""

    def __init__(self, send, post):
        self.send, self.post, self.sum, self.closed = send, post, 0, 0
        send({"hello": True})

    def receive(self, message, buffers):
        if "add" in message:
            self.sum += message["add"]
            self.send({"sum": self.sum})
        elif "threads" in message:
            self.workers = [threading.Thread(target=self.count, args=(n,)) for n in range(message["threads"])]
            for worker in self.workers:
                worker.start()
        elif "flood" in message:
            for _ in range(message["flood"]):
                self.send({"water": True}, [bytes(1 << 20)])
        else:
            self.send({"echo": message, "sizes": [len(buffer) for buffer in buffers]}, buffers)

    def count(self, worker):
        for n in range(100):
            self.send({"worker": worker, "n": n}, [bytes(n)] * (n % 2))
        self.post(lambda: self.send({"thread": threading.get_ident(), "worker": worker, "n": 100}))

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def no_errors_logged(caplog):
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.fixture(autouse=True)
def front(monkeypatch):
    """A front end made up: it hands its host to the test."""
    script = """function mount(element, host) {
        window.host = host;
        window.heard = [];
        host.on((message, buffers) => heard.push([message, buffers]));
        element.textContent = "mounted";
        return { store: { on() {} } };
    }"""
    monkeypatch.setattr("toydiff.explorer.front.script", lambda: script)
    monkeypatch.setattr("toydiff.explorer.front.style", lambda: "#toydiff { color: rgb(1, 2, 3) }")


class Served:
    """A server with its sessions, and clients of it."""

    def __init__(self, server, sessions):
        self.server, self.sessions, self.tabs = server, sessions, []
        self.base = f"127.0.0.1:{server.address.port}"
        self.cookie = "{}={}".format(*server.address.cookie)

    async def get(self, path="/", cookie=True, **headers):
        """The status, the headers and the body."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given |= {"Cookie": self.cookie} if cookie is True else {"Cookie": cookie} if cookie else {}
        request = HTTPRequest(f"http://{self.base}{path}", headers=given, follow_redirects=False)
        client = AsyncHTTPClient(force_instance=True)
        try:
            answer = await client.fetch(request, raise_error=False)
        finally:
            client.close()
        return answer.code, answer.headers, answer.body.decode()

    async def connect(self, **headers):
        given = {"Cookie": self.cookie, "Origin": f"http://{self.base}"} | headers
        given = {name: value for name, value in given.items() if value is not None}
        self.tabs.append(await websocket_connect(HTTPRequest(f"ws://{self.base}/socket", headers=given)))
        return self.tabs[-1]

    async def tab(self):
        """A connection whose session has said hello."""
        tab = await self.connect()
        assert await heard(tab) == ({"hello": True}, [])
        return tab

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


async def heard(tab):
    data = await tab.read_message()
    return None if data is None else unpack(data)


def run(body, after=None, load=None):
    """Serve and do something, in a thread of its own (Playwright's loop runs in this one); nothing is left of it."""
    before, sessions = set(threading.enumerate()), []

    def make(send, post):
        sessions.append(Counter(send, post))
        return sessions[-1]

    async def main():
        async with AppServer(Address(), load or (lambda: make)) as server:
            here = Served(server, sessions)
            await body(here)
        assert server.pages == set()
        assert [session.closed for session in sessions] == [1] * len(sessions)
        if after:
            await after(here)
        for tab in here.tabs:
            tab.close()
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, main()).result(60)
    assert set(threading.enumerate()) <= before  # others may have ended meanwhile


def test_the_token_opens_and_leaves_a_cookie_of_this_start():
    async def body(here):
        address = here.server.address
        status, headers, page = await here.get(address.for_all().partition(here.base)[2], cookie=False)
        assert (status, headers.get("Location")) == (200, None)
        assert '<div id="toydiff">' in page
        assert re.fullmatch(
            rf"toydiff-{address.port}=[\w-]{{32}}; HttpOnly; Path=/; SameSite=Strict", headers["Set-Cookie"]
        )
        assert address.for_all().partition("token=")[2] not in headers["Set-Cookie"]
        for path in ("/", "/host.js", "/explorer.js", "/explorer.css", "/page.css"):
            assert (await here.get(path))[0] == 200
        assert (await here.get("/page.html"))[::2] == (404, "404 Not Found\n")
        assert (await here.get("/../app_server.py"))[0] == 404

    run(body)


def test_no_token_no_entry():
    async def body(here):
        name, key = here.server.address.cookie
        for path in ("/", "/?token=", "/?token=wrong", "/?token=%C3%A9", "/explorer.js", "/socket", "/no-such"):
            for cookie in (False, f"{name}=wrong", f"{name}=é", f"other={key}"):
                status, headers, body = await here.get(path, cookie)
                assert (status, body.count("\n")) == (403, 1), (path, cookie)
                assert headers["Content-Type"].startswith("text/plain")
                assert "Set-Cookie" not in headers
                assert key not in body
        assert (await here.get("/?token=wrong"))[0] == 403  # although there is a cookie

    run(body)


def test_another_name_of_this_machine_is_refused():
    """A page of evil.example can make its name lead to 127.0.0.1, and would then be of the same origin."""

    async def body(here):
        port = here.server.address.port
        token = here.server.address.for_all().partition(here.base)[2]
        for host in ("evil.example", "127.0.0.1", "127.0.0.1.evil.example", "[::1]", "127.0.0.2", "localhost."):
            for path in ("/", "/explorer.js", "/socket", token):
                headers = {"Host": f"{host}:{port + (host == '127.0.0.1')}"}
                assert (await here.get(path, **headers))[0] == 403, (host, path)
            with pytest.raises(HTTPClientError, match="403"):
                await here.connect(Host=headers["Host"], Origin=f"http://{headers['Host']}")
        assert (await here.get("/", Host="127.0.0.1"))[0] == 403
        assert (await here.get("/", Host=f"LocalHost:{port}"))[0] == 200

    run(body)


def test_another_origin_is_refused():
    async def body(here):
        port = here.server.address.port
        for origin in (
            "null",
            "http://evil.example",
            f"https://{here.base}",
            "http://127.0.0.1",
            f"http://localhost:{port}",
        ):
            assert (await here.get("/", Origin=origin))[0] == 403, origin
            with pytest.raises(HTTPClientError, match="403"):
                await here.connect(Origin=origin)
        assert (await here.get("/", Origin=f"http://{here.base}"))[0] == 200
        with pytest.raises(HTTPClientError, match="403"):
            await here.connect(Cookie=None)
        assert here.sessions == []

    run(body)


def test_the_headers_allow_this_server_only():
    async def body(here):
        for path in ("/", "/explorer.js", "/no-such"):
            _, headers, _ = await here.get(path)
            assert headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; "
                f"connect-src 'self' ws://{here.base}; "
                "img-src 'self' data: blob:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
            )
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"

    run(body)


def test_a_token_for_once_is_good_once():
    async def body(here):
        once = here.server.address.for_once().partition(here.base)[2]
        assert (await here.get(once, cookie=False))[0] == 200
        assert (await here.get(once, cookie=False))[0] == 403

    run(body)


def test_a_lecture_room_may_use_any_address_but_no_foreign_name():
    address = Address("0.0.0.0")
    with address.socket:
        assert address.is_public
        port = address.port
        for name in ("10.1.2.3", "[fe80::1]", "localhost", socket.gethostname()):
            assert address.goes_by(f"{name}:{port}")
        for host in (f"evil.example:{port}", "10.1.2.3", f"10.1.2.3.evil.example:{port}", ""):
            assert not address.goes_by(host)
        assert re.match(rf"http://[\w.]+:{port}/\?token=", address.for_all())
        assert "0.0.0.0" not in address.for_all()
    address = Address("localhost")
    with address.socket:
        assert not address.is_public
        assert address.goes_by(f"127.0.0.1:{address.port}")
        assert address.for_all().startswith(f"http://localhost:{address.port}/")


messages = st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(), max_size=3)


@given(messages, st.lists(st.binary(max_size=40), max_size=4))
def test_a_message_comes_back_as_it_was(message, buffers):
    data = pack(message, buffers)
    assert isinstance(data, bytes if buffers else str)
    assert unpack(data) == (message, buffers)
    assert not buffers or len(data) % 8 == 0


def test_buffers_lie_at_multiples_of_eight():
    data = pack({"né": 1}, BUFFERS)
    at = 4 + int.from_bytes(data[:4], "little")
    assert json.loads(data[4:at]) == {"message": {"né": 1}, "sizes": [0, 1, 7, 8, 8448]}
    for buffer in BUFFERS:
        assert at % 8 == 0
        assert data[at : at + len(buffer)] == buffer
        at += -(-len(buffer) // 8) * 8
    assert at == len(data)


def test_a_message_cut_short_is_seen_wherever_it_is_cut():
    data = pack({"some": "thing"}, [b"123", b"4"])
    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"."):
            unpack(data[:end])
    with pytest.raises(ValueError, match="the sizes do not fit"):
        unpack(data + bytes(8))


WRONG = [
    "", "{", "[" * 100_000, b"", b"\xff\xff\xff\xff{}", b"\x02\0\0\0{}", b"\x04\0\0\0null", b"\x01\0\0\0\xff",
    *(len(h).to_bytes(4, "little") + h for h in (
        b'{"message":1}', b'{"message":1,"sizes":8}', b'{"message":1,"sizes":[-8]}', b'{"message":1,"sizes":[true]}',
        b'{"message":1,"sizes":[1e300]}', b'{"message":1,"sizes":[9999999999999999999999]}', b'{"sizes":[]}')),
]  # fmt: skip


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_what_is_no_message_closes_its_connection_alone(data):
    async def body(here):
        one, other = await here.tab(), await here.tab()
        await one.write_message(data, binary=isinstance(data, bytes))
        assert await heard(one) is None
        assert (one.close_code, one.close_reason) == (1007, "the message is cut short or not JSON")
        await here.until(lambda: here.sessions[0].closed)
        await other.write_message(pack({"add": 1}))
        assert await heard(other) == ({"sum": 1}, [])
        assert len(here.server.pages) == 1

    run(body)


def test_buffers_go_both_ways():
    async def body(here):
        tab = await here.tab()
        for buffers in (BUFFERS, []):
            await tab.write_message(pack({"x": [1, None, "é"]}, buffers), binary=bool(buffers))
            message, back = await heard(tab)
            assert message == {"echo": {"x": [1, None, "é"]}, "sizes": [len(buffer) for buffer in buffers]}
            assert back == buffers
        assert "Sec-Websocket-Extensions" not in tab.headers  # nothing is compressed

    run(body)


def test_a_message_that_is_too_long_closes_its_connection_alone(monkeypatch):
    monkeypatch.setattr(app_server, "LARGEST_MESSAGE", 1 << 16)

    async def body(here):
        tab = await here.tab()
        await tab.write_message(pack({}, [bytes(1 << 16)]), binary=True)
        assert await heard(tab) is None
        await here.until(lambda: here.sessions[0].closed)
        await here.tab()

    run(body)


def test_thirty_sessions_each_have_their_own_state():
    async def body(here):
        tabs = await asyncio.gather(*(here.tab() for _ in range(30)))
        for round_ in range(1, 4):
            await asyncio.gather(*(tab.write_message(pack({"add": n})) for n, tab in enumerate(tabs)))
            answers = await asyncio.gather(*map(heard, tabs))
            assert answers == [({"sum": n * round_}, []) for n in range(30)]
        assert len(here.sessions) == 30

    run(body)


def test_what_threads_send_stays_in_order():
    async def body(here):
        tab = await here.tab()
        await tab.write_message(pack({"threads": 4}))
        seen = {worker: [] for worker in range(4)}
        for _ in range(4 * 101):
            message, buffers = await heard(tab)
            seen[message["worker"]].append(message["n"])
            assert message.get("thread", threading.get_ident()) == threading.get_ident()
            assert sum(map(len, buffers)) == (message["n"] if message["n"] % 2 else 0)
        assert seen == {worker: list(range(101)) for worker in range(4)}
        for worker in here.sessions[0].workers:
            worker.join()

    run(body)


def test_a_closed_tab_closes_its_session():
    async def body(here):
        tabs = [await here.tab() for _ in range(3)]
        tabs[0].close()
        tabs[1].protocol.stream.close()  # without a goodbye
        await here.until(lambda: [session.closed for session in here.sessions] == [1, 1, 0])
        await here.until(lambda: len(here.server.pages) == 1)
        here.sessions[0].send({"late": True})  # is said to nobody
        await tabs[2].write_message(pack({"add": 2}))
        assert await heard(tabs[2]) == ({"sum": 2}, [])

    run(body)


def test_the_end_of_the_server_is_told():
    async def body(here):
        tabs.extend([await here.tab() for _ in range(3)])

    async def after(here):
        for tab in tabs:
            assert await heard(tab) is None
            assert tab.close_code == 1001
        here.sessions[0].send({"late": True})  # is said to nobody

    tabs = []
    run(body, after)


def test_a_slow_reader_is_given_up_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(app_server, "MOST_UNSENT", 4 << 20)

    async def body(here):
        slow, other = await here.tab(), await here.tab()
        slow.protocol.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.protocol.stream.io_loop.remove_handler(slow.protocol.stream.fileno())  # it reads no more
        await slow.write_message(pack({"flood": 64}))
        await here.until(lambda: here.sessions[0].closed)
        await here.until(lambda: len(here.server.pages) == 1)
        await other.write_message(pack({"flood": 3}))  # below the limit
        for _ in range(3):
            assert (await heard(other))[0] == {"water": True}
        slow.protocol.stream.close()

    run(body)


def test_the_page_is_served_before_sessions_can_be_made():
    loaded = threading.Event()

    def load():
        assert loaded.wait(30)
        return Counter

    async def body(here):
        assert (await here.get("/explorer.js"))[0] == 200
        early, gone = await here.connect(), await here.connect()
        await early.write_message(pack({"add": 3}))  # is held, too
        gone.close()
        assert await here.get("/host.js")
        loaded.set()
        assert await heard(early) == ({"hello": True}, [])
        assert await heard(early) == ({"sum": 3}, [])
        await here.until(lambda: len(here.server.pages) == 1)

    run(body, load=load)


# The command.


@contextmanager
def started(folder, *arguments, **environment):
    """`toydiff explore --app` with its first line."""
    command = [sys.executable, "-m", "toydiff", "explore", "--app", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=os.environ | environment, **pipes) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def entered(address, visit):
    """What `visit(open)` gives; `open()` is a new tab of the page."""

    async def main():
        with urllib.request.urlopen(address) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        request = HTTPRequest(re.sub(r"\?.*", "socket", address.replace("http", "ws")), headers={"Cookie": cookie})
        return await visit(lambda: websocket_connect(request))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main()).result(60)


async def until(tab, name):
    """The next message that has it."""
    while name not in (message := (await heard(tab))[0]):
        pass
    return message[name]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_command_ends_by_a_signal_with_its_tabs_open(tmp_path, number, status):
    with started(tmp_path, "--no-browser") as (process, address):

        async def visit(open_tab):
            tab = await open_tab()
            await tab.write_message(pack({"hello": "here"}))
            await until(tab, "about")
            process.send_signal(number)
            while await heard(tab):
                pass
            tab.close()
            return tab.close_code

        assert entered(address, visit) == 1001
        assert process.wait(30) == status
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_thirty_tabs_are_dragged_in_turn_each_in_a_scene_of_its_own(tmp_path):
    with started(tmp_path, "--no-browser") as (_, address):

        async def points(tab, n):
            """The next ones that show change number `n`."""
            while True:
                message, buffers = await heard(tab)
                if message.get("frame", {}).get("frame") == "points" and message["heard"].get("a", 0) >= n:
                    return np.frombuffer(buffers[0], "<f4").reshape(-1, 2)

        async def visit(open_tab):
            tabs = [await open_tab() for _ in range(30)]
            for tab in tabs:
                await tab.write_message(pack({"hello": "a"}))
                assert (await until(tab, "scene"))["panels"][0]["weight"] == 3
            found = {}
            for n in (1, 2):
                for i, tab in enumerate(tabs):
                    await tab.write_message(pack({"set": {"weight": 1 + 0.05 * (i + 1) * n}, "n": n, "view": "a"}))
                    found[i] = await points(tab, n)
            for i, tab in enumerate(tabs):
                await tab.write_message(pack({"hello": "again"}))
                assert (await until(tab, "scene"))["panels"][0]["weight"] == 1 + 0.1 * (i + 1)
                tab.close()
            return found

        for i, seen in entered(address, visit).items():
            if i % 10 == 0:
                state = State(weight=1 + 0.1 * (i + 1))
                wanted = compute.trajectory(state, QUICK if len(seen) < state.points else Quality.full(state)).samples
                np.testing.assert_allclose(seen, wanted, atol=1e-4)


def test_the_address_is_printed_before_jax_is_there(tmp_path):
    (tmp_path / "jax.py").write_text("import time; time.sleep(3600)")
    began = time.monotonic()
    with started(tmp_path, "--no-browser", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path])) as (_, address):
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        assert time.monotonic() - began < 30


def test_the_browser_gets_an_address_of_its_own(tmp_path):
    opener = tmp_path / "browser"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/opened\n')
    opener.chmod(0o755)
    with started(tmp_path, BROWSER=f"{opener} %s") as (_, printed):
        for _ in range(200):
            if (tmp_path / "opened").exists():
                break
            time.sleep(0.05)
        opened = (tmp_path / "opened").read_text().strip()
        assert opened.partition("token=")[0] == printed.partition("token=")[0]
        assert opened != printed
        with urllib.request.urlopen(opened) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(opened)
        refused.value.close()


def test_a_lecture_room_is_warned(tmp_path):
    with started(tmp_path, "--no-browser", "--host", "0.0.0.0") as (process, address):
        assert "token=" in address
        assert process.stderr.readline().startswith("toydiff explore: everyone in the network who has this address")


def test_what_cannot_be_served_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, message in (
            (["--app", "--port", port], f"port {port} of 127.0.0.1 cannot be used: Address already in use"),
            (["--app", "--port", "0"], "port is 0; it must be a whole number from 1 to 65,535"),
            (["--app", "--port", "70000"], "port is 70000; it must be a whole number"),
            (["--app", "--host", "192.0.2.1"], "192.0.2.1 cannot be used: Cannot assign requested address"),
            (["--app", "--host", "no-such.invalid"], "no-such.invalid cannot be used: "),
            (["--app", "--host", "x" * 80], "x cannot be used: "),
            (["--host", "0.0.0.0"], "--host goes with --app"),
            (["--app", "--lesson", "1"], "a lesson's exercises are code, which --app hides"),
        ):
            assert cli.main(["explore", "--no-browser", *arguments]) == 2
            error = capsys.readouterr().err
            assert message in error
            assert error.count("\n") == 1


def test_a_host_is_refused_in_python_too():
    with pytest.raises(InputError, match="cannot be used"):
        Address("192.0.2.1")


# In Chromium.


@contextmanager
def in_thread():
    """A server that runs until the block ends."""
    ready, ended = threading.Event(), threading.Event()
    found = []

    async def body(here):
        found.append(here)
        ready.set()
        await asyncio.to_thread(ended.wait)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run, body)
        try:
            assert ready.wait(30)
            yield found[0]
        finally:
            ended.set()
            done.result(60)


@pytest.fixture
def page(browser):
    page = browser.new_context().new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
    yield page
    page.context.close()
    assert page.errors == []


def in_chromium(test):
    return pytest.mark.browser(pytest.mark.xdist_group("browser")(test))


@in_chromium
def test_the_page_opens_and_forgets_the_token(page):
    with in_thread() as here:
        page.goto(here.server.address.for_all() + "#scene")
        page.get_by_text("mounted").wait_for()
        assert page.url == f"http://{here.base}/#scene"
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("getComputedStyle(document.querySelector('#toydiff')).color") == "rgb(1, 2, 3)"
        page.reload()
        page.wait_for_function("() => window.heard?.length === 2")
        assert page.evaluate("heard.map(([message]) => message)") == [{"connected": True}, {"hello": True}]
        assert len(here.sessions) == 2
        page.goto("about:blank")
        wait_for(lambda: [session.closed for session in here.sessions] == [1, 1])


def foreign(page, address, text):
    """Open a page of another server, made up."""
    page.route(address, lambda route: route.fulfill(content_type="text/html", body=f"<!DOCTYPE html>{text}"))
    page.goto(address)


@in_chromium
def test_a_link_on_another_site_opens_the_page(page):
    with in_thread() as here:
        foreign(page, "http://course.example/", f"<a href='{here.server.address.for_all()}#scene'>the lecture</a>")
        page.get_by_text("the lecture").click()
        page.get_by_text("mounted").wait_for()
        page.wait_for_function("() => heard.length === 2")
        assert page.url == f"http://{here.base}/#scene"


BOTH_WAYS = """async (sizes) => {
    const buffers = sizes.map((size, k) => new Uint8Array(size + 3).fill(k + 1).subarray(3));
    const before = heard.length;
    host.send({ text: "é 😀", list: [1, null] }, buffers);
    if (!sizes.length) host.send({ second: true });
    while (heard.length < before + 1) await new Promise((done) => setTimeout(done, 5));
    const [message, back] = heard[before];
    return [message, back.map((view, k) => [view.constructor.name, view.byteOffset % 8, view.byteLength,
        buffers[k].every((value, at) => value === view.getUint8(at))])];
}"""


@in_chromium
def test_messages_go_both_ways_in_the_browser(page):
    with in_thread() as here:
        page.goto(here.server.address.for_all())
        page.wait_for_function("() => window.heard?.length === 2")
        for sizes in ([0, 1, 7, 8, 9, 1 << 20], [5], []):
            message, buffers = page.evaluate(BOTH_WAYS, sizes)
            assert message == {"echo": {"text": "é 😀", "list": [1, None]}, "sizes": sizes}
            assert buffers == [["DataView", 0, size, True] for size in sizes]


@in_chromium
def test_a_lost_connection_comes_back(page):
    with in_thread() as here:
        page.goto(here.server.address.for_all())
        page.wait_for_function("() => window.heard?.length === 2")
        page.evaluate("heard.length = 0")
        for socket_ in list(here.server.pages):
            here.sessions[0].post(socket_.drop)
        page.wait_for_function("() => heard.length === 1")
        page.evaluate("host.send({ add: 1 })")  # is lost
        began = time.monotonic()
        page.wait_for_function("() => heard.length === 3")
        assert 0.5 < time.monotonic() - began < 5
        assert page.evaluate("heard.map(([message]) => message)") == [None, {"connected": True}, {"hello": True}]
        assert [session.closed for session in here.sessions] == [1, 0]
        page.evaluate("host.send({ add: 1 })")
        page.wait_for_function("() => heard.length === 4")
        assert page.evaluate("heard[3][0]") == {"sum": 1}


@in_chromium
def test_it_waits_longer_while_nobody_answers(page):
    page.add_init_script("""
        const set = window.setTimeout;
        window.waits = [];
        window.setTimeout = (act, ms) => { waits.push(ms); set(act, 0); };
    """)
    with in_thread() as here:
        page.goto(here.server.address.for_all())
        page.wait_for_function("() => window.heard?.length === 2")
        page.evaluate("waits.length = 0")
    page.wait_for_function("() => waits.length >= 7")
    assert page.evaluate("waits.slice(0, 7)") == [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]
    assert page.evaluate("heard.slice(2).map(([message]) => message)") == [None]
    page.goto("about:blank")
    assert all("ERR_CONNECTION_REFUSED" in error for error in page.errors)
    page.errors.clear()


@in_chromium
def test_pages_of_others_reach_nothing(page):
    with in_thread() as here:
        page.goto(here.server.address.for_all())
        page.get_by_text("mounted").wait_for()
        other = page.context.new_page()
        foreign(other, "http://127.0.0.1:8123/", "")  # with the same cookies: the hosts differ in their ports only
        reached = """address => new Promise(done => {
            const socket = new WebSocket(`ws://${address}/socket`);
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        })"""
        assert other.evaluate(reached, here.base) == "refused"
        read = "address => fetch(`http://${address}/`).then(() => 'read', () => 'refused')"
        assert other.evaluate(read, here.base) == "refused"
        assert len(here.sessions) == 1


@in_chromium
def test_the_policy_stops_what_a_page_must_not_do(page):
    with in_thread() as here:
        page.goto(here.server.address.for_all())
        page.get_by_text("mounted").wait_for()
        blocked = page.evaluate("""async () => {
            const blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
            const put = (html) => document.body.insertAdjacentHTML("beforeend", html);
            put("<p id=styled style='color: red'>text</p><button id=b onclick='window.clicked = 1'>b</button>");
            put("<img src='http://192.0.2.1/x.png'><iframe src='/'></iframe>");
            document.querySelector("#b").click();
            await fetch("http://192.0.2.1/").catch(() => {});
            await new Promise((done) => setTimeout(done, 200));
            return [blocked, window.clicked ?? null];
        }""")
        assert blocked[1] is None
        assert set(blocked[0]) == {"style-src-attr", "script-src-attr", "img-src", "frame-src", "connect-src"}
        page.errors.clear()


def wait_for(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError("never")
