"""Addresses of the network, in one spelling; and those that `--trusted-proxies` names."""

import ipaddress

EVERYBODY = "*"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(trusted: str) -> list[Network]:
    """What `--trusted-proxies` names.

    Raises:
        ValueError: something in it is neither an address nor a network.
    """
    if trusted.strip() == EVERYBODY:
        return [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    return [ipaddress.ip_network(part.strip(), strict=False) for part in trusted.split(",") if part.strip()]


def plain_address(host: str) -> str:
    """An address in one spelling: IPv4 that came in over an IPv6 socket is `::ffff:192.0.2.1` there."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
