"""What we look at of a visitor: the network they come from, never the single machine."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request


def network_of(request: Request, *, trusted_proxies: int) -> str:
    """The visitor's address cut to its network (/24, /48); "" when it cannot be known.

    ``X-Forwarded-For`` counts only as far as proxies of ours wrote it: everything before can be invented.
    """
    direct = request.client.host if request.client else ""
    if not trusted_proxies:
        return truncated(direct)
    hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    return truncated(hops[-trusted_proxies]) if len(hops) >= trusted_proxies else ""


def truncated(ip: str, *, six: int = 48) -> str:
    """ "203.0.113.7" -> "203.0.113.0/24"; of an IPv6 address the first ``six`` bits."""
    try:
        found = ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ip_network(f"{found}/{24 if found.version == 4 else six}", strict=False))
