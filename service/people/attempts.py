"""How long somebody has to wait who keeps failing to log in.

Each name and each address has a count of failures. The first few cost nothing, because
people mistype; after that every failure doubles the wait. A name's wait is short enough
that nobody can be kept out for long by somebody else's guesses, and long enough that a
password of the length we demand is never found by them.
"""

from __future__ import annotations

import ipaddress

NAME_FREE = 5
"""Failures of a name that cost nothing."""
ADDRESS_FREE = 20
"""Failures from an address that cost nothing: several people may share one."""
WAIT_SECONDS_MAX = 900
"""Longest wait after a failure: at most 96 guesses a day on one name."""
FORGET_SECONDS = 24 * 3600
"""Without a failure for this long the count begins again."""


def wait_seconds(failures: int, free: int) -> int:
    """Seconds until the next attempt, after that many failures of which some are free."""
    if failures < free:
        return 0
    return int(min(2 ** min(failures - free, 20), WAIT_SECONDS_MAX))


def address_group(address: str) -> str:
    """What counts as one address: one of IPv4, the whole network of one customer of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
