"""Where the app page's server listens, under which names it may be asked for, and who may enter."""

import ipaddress
import secrets
import socket

from tornado import httputil, netutil

from toydiff.base.checks import InputError, count

LOOPBACK = "127.0.0.1"


class Address:
    """A port of this machine, open from now on, with a token and a cookie of this start only.

    Args:
        host: an address or a name of this machine; 0.0.0.0 is all that it has.
        port: by default a free one.

    Attributes:
        socket: listens.
        is_public: whether other machines can reach it.
        cookie: its name and its value.

    Raises:
        InputError: the host or the port cannot be used.
    """

    def __init__(self, host: str = LOOPBACK, port: int | None = None):
        asked = 0 if port is None else count("port", port, 1, 65_535)
        try:
            self.socket = _listening(host, asked)
        except (OSError, UnicodeError) as error:  # a name can be too long to be looked up
            where = host if port is None else f"port {port} of {host}"
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{where} cannot be used: {reason}; choose another") from None
        number, self.port = self.socket.getsockname()[:2]
        bound = ipaddress.ip_address(number.partition("%")[0])
        self.is_public, self._everywhere = not bound.is_loopback, bound.is_unspecified
        self._names = {host.lower(), _bracketed(bound)}
        if self._everywhere or not self.is_public:
            self._names |= {"localhost", socket.gethostname().lower()}
        name = _own_address(self.socket.family) if self._everywhere else _bracketed(host)
        self._page = f"http://{name}:{self.port}/?token="
        # Browsers send a host's cookies to all of its ports, so the name tells servers apart.
        self.cookie = f"toydiff-{self.port}", secrets.token_urlsafe(24)
        self._token, self._once = secrets.token_urlsafe(24), secrets.token_urlsafe(24)

    def for_all(self) -> str:
        """The page's address, for people."""
        return self._page + self._token

    def for_once(self) -> str:
        """For the browser that is started here: every user of the machine can read its command line."""
        return self._page + self._once

    def admits(self, token: str) -> bool:
        """Whether a token is right."""
        if same(token, self._once):
            self._once = secrets.token_urlsafe(24)
            return True
        return same(token, self._token)

    def goes_by(self, host: str) -> bool:
        """Whether this is the server that was asked for: another's name could have been made to lead here."""
        name, port = httputil.split_host_and_port(host.lower())
        # Of all addresses, which this machine may have many of, digits at least cannot be made to lead elsewhere.
        known = name in self._names or (self._everywhere and netutil.is_valid_ip(name.strip("[]")))
        return known and (port or 80) == self.port


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.create_server(where, family=family, backlog=128)
    listening.setblocking(False)
    return listening


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that says nothing."""
    return secrets.compare_digest(given.encode(), wanted.encode())


def _bracketed(host: object) -> str:
    """A host as it stands in a page's address."""
    return f"[{host}]" if ":" in str(host) else str(host)


def _own_address(family: int) -> str:
    """The address under which the network knows this machine."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))  # nothing is sent
        except OSError:
            return "localhost"
        return _bracketed(probe.getsockname()[0])
