"""A real DNS server on loopback with records of the test's own: UDP, and TCP for what is too long for it."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

SILENT = "SILENT"  # instead of a list: no answer ever comes
SERVFAIL = "SERVFAIL"
PLAIN_UDP = 512  # bytes, where the question names no other size

Zone = Mapping[str, "Mapping[str, Sequence[str]] | str"]


@dataclass(kw_only=True)
class DnsServer:
    """``zone``: name -> type -> values as in a zone file (a TXT without quotes), or SILENT or SERVFAIL."""

    zone: dict[str, Mapping[str, Sequence[str]] | str]
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # name, type, "udp" or "tcp"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def reply(self, wire: bytes, way: str) -> bytes | None:
        """None: say nothing."""
        question = dns.message.from_wire(wire)
        name = question.question[0].name
        text = name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((text, kind, way))
        known = self.zone.get(text)
        if known == SILENT:
            return None
        answer = dns.message.make_response(question, recursion_available=True)
        if isinstance(known, str):
            answer.set_rcode(dns.rcode.from_text(known))
        elif known is None:
            below = any(other.endswith(f".{text}") for other in self.zone)
            answer.set_rcode(dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN)
        elif values := known.get(kind):
            answer.answer.append(_rrset(name, kind, values))
        whole = answer.to_wire(max_size=65_535)
        room = max(question.payload if question.edns >= 0 else 0, PLAIN_UDP)
        if way == "tcp" or len(whole) <= room:
            return whole
        short = dns.message.make_response(question, recursion_available=True)
        short.flags |= dns.flags.TC
        return short.to_wire()


def _rrset(name: dns.name.Name, kind: str, values: Sequence[str]) -> dns.rrset.RRset:
    texts = [_quoted(value) for value in values] if kind == "TXT" else list(values)
    return dns.rrset.from_text_list(name, 60, dns.rdataclass.IN, dns.rdatatype.from_text(kind), texts)


def _quoted(value: str) -> str:
    """In strings of at most 255 bytes, as the wire has them."""
    escaped = [value[start : start + 255] for start in range(0, len(value), 255)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in escaped)


class _Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, place = self.request
        if (reply := self.server.dns.reply(wire, "udp")) is not None:  # type: ignore[attr-defined]
            place.sendto(reply, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        head = self.rfile.read(2)
        if len(head) < 2:
            return
        wire = self.rfile.read(struct.unpack("!H", head)[0])
        if (reply := self.server.dns.reply(wire, "tcp")) is not None:  # type: ignore[attr-defined]
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class _UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def dns_server(zone: Zone) -> Iterator[DnsServer]:
    """Both ways on one free port."""
    running = DnsServer(zone={name.lower(): records for name, records in zone.items()})
    tcp, udp = _pair()
    running.port = udp.server_address[1]
    threads = []
    for server in (tcp, udp):
        server.dns = running  # type: ignore[attr-defined]
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}))
        threads[-1].start()
    try:
        yield running
    finally:
        for server in (tcp, udp):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def _pair() -> tuple[_TcpServer, _UdpServer]:
    """A port that is free for both."""
    for _ in range(50):
        tcp = _TcpServer(("127.0.0.1", 0), _Tcp)
        try:
            return tcp, _UdpServer(("127.0.0.1", tcp.server_address[1]), _Udp)
        except OSError:
            tcp.server_close()
    raise OSError("no port is free for UDP and TCP at once")
