"""Where the service may send to: how a URL may look, and which addresses may be connected to (W01, W02).

Checked when an endpoint is made, to tell its owner, and at every connection, because names change.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from django.conf import settings

MAX_URL = 500
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# Browsers and libraries read such a last label as a number, and the whole host as an IPv4 address.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PATH = re.compile(r"[!-~]*", re.ASCII)
# Services that would take an HTTP request for commands, or give their data to whoever asks. Matters in listed
# networks only: elsewhere WEBHOOK_PORTS says which few may be spoken to.
_NEVER = frozenset({
    1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 4369, 5432, 5672, 5984, 6379, 6380, 9042, 9092,
    9200, 9300, 10250, 10255, 11211, 15672, 16379, 26379, 27017, 27018, 28017, 50070,
})  # fmt: skip
# An IPv4 address is inside, which some gateway would unpack: 6to4, Teredo, NAT64 (two), IPv4-compatible.
_CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")
)
_NEEDS_TLS = "must begin with https:// unless it leads to this machine"
_LOCAL, _LOOPBACK = "localhost", IPv4Address("127.0.0.1")

Address = IPv4Address | IPv6Address


class Refused(Exception):
    """A URL or address that nothing is sent to; the message says why and names no secret."""


@dataclass(frozen=True)
class Target:
    """A URL that may be sent to, as far as its text tells. path: with the query, as on the wire."""

    scheme: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """The parts of a URL. Raises Refused."""
    if len(url) > MAX_URL:
        raise Refused(f"must have at most {MAX_URL} characters")
    if not _PATH.fullmatch(url) or "\\" in url:
        raise Refused("must be printable ASCII without spaces and backslashes: write an IDN in its xn-- form")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("is not a URL") from None
    if parts.scheme not in ("https", "http"):
        raise Refused("must begin with https://")
    if "@" in parts.netloc:
        raise Refused("must not contain a user name or password")
    if parts.fragment or "#" in url:
        raise Refused("must not contain a fragment")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    host = _host(parts.hostname or "")
    if port not in settings.QUORATE["WEBHOOK_PORTS"] and (port < 1024 or port in _NEVER):
        raise Refused(f"port {port} is not allowed")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


def check(url: str) -> None:
    """What can be told of a URL without asking the network: its form, and an address written in it.

    A name that leads to a forbidden address is refused when it is connected to. Raises Refused.
    """
    target = target_of(url)
    literal = _literal(target.host)
    if target.host == _LOCAL or target.host.endswith(f".{_LOCAL}"):
        literal = _LOOPBACK
    if literal is not None:
        _vet(literal, target)
    elif target.scheme == "http":
        raise Refused(_NEEDS_TLS)


def resolve(target: Target) -> list[Address]:
    """The addresses of the target's host, each vetted. Raises Refused; OSError where there is none."""
    literal = _literal(target.host)
    if literal is not None:
        addresses = [literal]
    else:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))
    for address in addresses:
        _vet(address, target)
    return addresses


def _host(host: str) -> str:
    if not host:
        raise Refused("must name a host")
    if _literal(host) is not None:
        return host
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("must name a host by its DNS name, without a dot at the end, or by its IP address")
    if _NUMERIC.fullmatch(labels[-1]):
        raise Refused("must write an IPv4 address as four decimal numbers")
    return host


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _vet(address: Address, target: Target) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if target.scheme == "http" and not address.is_loopback:
        raise Refused(_NEEDS_TLS)
    networks = [ipaddress.ip_network(text) for text in settings.QUORATE["WEBHOOK_NETWORKS"]]
    if any(address.version == network.version and address in network for network in networks):
        return
    if not _public(address):
        raise Refused("leads to an address that is not public")
    if target.port not in settings.QUORATE["WEBHOOK_PORTS"]:
        raise Refused(f"port {target.port} is not allowed")


def _public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address):
        return True
    carries = any(address in network for network in _CARRIERS)
    return not (carries or address.is_site_local)
