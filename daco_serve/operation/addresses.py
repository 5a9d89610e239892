"""Network addresses in a canonical notation; and those in `--trusted-proxies`."""

import ipaddress

EVERYBODY = "*"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(trusted: str) -> list[Network]:
    """Parses the value of `--trusted-proxies`.

    Raises:
        ValueError: a part of it is neither an address nor a network.
    """
    if trusted.strip() == EVERYBODY:
        return [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    return [ipaddress.ip_network(part.strip(), strict=False) for part in trusted.split(",") if part.strip()]


def plain_address(host: str) -> str:
    """An address in canonical notation: an IPv4 address over an IPv6 socket appears as `::ffff:192.0.2.1`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
