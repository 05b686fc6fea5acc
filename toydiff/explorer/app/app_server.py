"""`toydiff explore --app`: the explorer as a page without code, from one process, with a session for each open page."""

import asyncio
import contextlib
import functools
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado import httpserver, web, websocket

from toydiff.explorer.app.address import LOOPBACK, Address, same
from toydiff.explorer.app.framing import pack, unpack

if TYPE_CHECKING:
    from toydiff.explorer.session import Session

LARGEST_MESSAGE = 64 << 20
"""Bytes that a page may send at once: a file that a person opens."""
MOST_UNSENT = 64 << 20
"""Bytes that wait for a page that reads slowly, before it is given up."""
PING_S = 60
"""A page is asked so often whether it is still there: a laptop that is shut says no goodbye."""
FAREWELL_S = 1.0
"""How long the pages have to answer when the server ends."""
# The workers that move the points are made of a text of this page, and run WebAssembly that came with it.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; "
    "connect-src 'self'{socket}; img-src 'self' data: blob:; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def serve_app(*, host: str = LOOPBACK, port: int | None = None, browser: bool = True) -> int:
    """Serve the page until Ctrl-C or SIGTERM; the exit status.

    Args:
        host: the address or name of this machine to listen on.
        port: likewise; by default a free one.
        browser: open the page.

    Raises:
        InputError: the host or the port cannot be used.
    """
    address = Address(host, port)
    print(address.for_all(), flush=True)
    print("Open this address if no browser does; Ctrl-C stops the server.", flush=True)
    if address.is_public:
        warning = "everyone in the network who has this address can use the explorer; what is sent is not encrypted"
        print(f"toydiff explore: {warning}", file=sys.stderr, flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address.for_once(),), daemon=True).start()
    return asyncio.run(_serve_until_signal(AppServer(address, _session_class)))


async def _serve_until_signal(server: "AppServer") -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    loop.add_signal_handler(signal.SIGINT, end, 0)
    loop.add_signal_handler(signal.SIGTERM, end, 143)
    async with server:
        await server.loading
        return await ended


def _session_class() -> type["Session"]:
    from toydiff.explorer.compute import prepare  # JAX comes with it

    threading.Thread(target=prepare, daemon=False).start()  # Python waits for it
    from toydiff.explorer.session import Session

    return Session


class AppServer:
    """Answers in `async with`; at the end every page's session is closed.

    Args:
        address: where it listens.
        load: gives what makes a session; called on a thread, while the page's files are served already.
    """

    def __init__(self, address: Address, load: Callable[[], Callable[..., "Session"]]):
        from toydiff.explorer.front import opening, script, style

        self.address, self._load = address, load
        self.loading: asyncio.Future[Callable[..., Session]]
        self.pages: set[_Page] = set()
        here = Path(__file__).parent
        self.files = {
            "": ("text/html", (here / "page.html").read_text()),
            "host.js": ("text/javascript", (here / "host.js").read_text()),
            "explorer.js": ("text/javascript", script() + "\nexport { mount };\n"),
            "page.css": ("text/css", (here / "page.css").read_text()),
            "explorer.css": ("text/css", style()),
            "opening.json": ("application/json", opening()),
        }

    async def __aenter__(self) -> "AppServer":
        application = web.Application(
            [("/socket", _Page), ("/(.*)", _File)],
            server=self,
            log_function=lambda handler: None,
            websocket_max_message_size=LARGEST_MESSAGE,
            websocket_ping_interval=PING_S,
        )
        self._http = httpserver.HTTPServer(application, max_body_size=1 << 16)
        self._http.add_socket(self.address.socket)
        self.loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._http.stop()
        for page in list(self.pages):
            page.end(1001, "the server ends")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                while self.pages:
                    await asyncio.sleep(0.01)
        for page in list(self.pages):
            page.drop()
        await self._http.close_all_connections()


class _Guarded(web.RequestHandler):
    """Answers only who asked for this server, from its own page, and has its cookie or its token."""

    @property
    def server(self) -> AppServer:
        server: AppServer = self.settings["server"]
        return server

    def set_default_headers(self) -> None:
        host = self.request.host
        socket = f" ws://{host}" if self.server.address.goes_by(host) else ""
        self.set_header("Content-Security-Policy", POLICY.format(socket=socket))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        address, (cookie, key) = self.server.address, self.server.address.cookie
        token = self.get_query_argument("token", None)
        if not address.goes_by(self.request.host):
            self._refuse("this server has another name")
        elif self.request.headers.get("Origin") not in (None, f"http://{self.request.host}"):
            self._refuse("another site's pages are not answered")
        elif token is not None and address.admits(token):
            self.set_cookie(cookie, key, httponly=True, samesite="Strict")
        elif token is not None or not same(self.get_cookie(cookie) or "", key):
            self._refuse("the token is missing or wrong: open the address that toydiff explore has printed")

    def _refuse(self, why: str) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{why}\n")

    def write_error(self, status_code: int, **_: Any) -> None:
        """One line."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")


class _File(_Guarded):
    """The page, its script and its style.

    With the token comes the page itself, and its script takes the token out of the address. After a link on another
    site, browsers would not send the new cookie to where a redirect leads.
    """

    def get(self, name: str) -> None:
        if name not in self.server.files:
            raise web.HTTPError(404)
        kind, text = self.server.files[name]
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.finish(text)


class _Page(_Guarded, websocket.WebSocketHandler):
    """The connection to an open page, and its session."""

    session: "Session | None" = None
    _unsent = 0

    async def open(self) -> None:
        self._connection: Any = self.ws_connection  # Tornado forgets it when it says goodbye
        self._loop = asyncio.get_running_loop()
        self.set_nodelay(True)  # a small message does not wait until the one before is acknowledged
        self.server.pages.add(self)
        make = await self.server.loading
        if self.ws_connection is not None:
            self.session = make(self.send, post=self._post)

    def on_message(self, data: str | bytes) -> None:
        try:
            message, buffers = unpack(data)
        except ValueError:
            self.end(1007, "the message is cut short or not JSON")
            return
        if self.session is not None:
            self.session.receive(message, buffers)

    def on_close(self) -> None:
        self.server.pages.discard(self)
        self.end()

    def send(self, message: Any, buffers: Sequence[bytes] = ()) -> None:
        """Send a message to the page; any thread may, and what it sends stays in order."""
        self._post(functools.partial(self._write, pack(message, buffers)))

    def end(self, code: int | None = None, reason: str | None = None) -> None:
        """End the session, and say goodbye to the page."""
        session, self.session = self.session, None
        self.close(code, reason)
        if session is not None:
            session.close()

    def drop(self) -> None:
        """End the connection without a goodbye."""
        self._connection.stream.close()

    def _post(self, act: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all pages
            self._loop.call_soon_threadsafe(act)

    def _write(self, data: str | bytes) -> None:
        size = len(data)
        self._unsent += size
        if self._unsent > MOST_UNSENT:
            self.drop()
        with contextlib.suppress(websocket.WebSocketClosedError):
            written = self.write_message(data, binary=isinstance(data, bytes))
            written.add_done_callback(lambda done: self._written(done, size))

    def _written(self, done: "asyncio.Future[None]", size: int) -> None:
        self._unsent -= size
        if not done.cancelled():
            done.exception()  # is seen: the page was closed meanwhile
