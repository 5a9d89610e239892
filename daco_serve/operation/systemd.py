"""Notifies systemd when the server is ready and when it stops (services with `Type=notify`)."""

import os
import socket


def notify(state: str) -> None:
    """Sends a state such as `READY=1` to the socket in NOTIFY_SOCKET; does nothing without that variable.

    The protocol is that of sd_notify(3): one datagram. A name that begins with @ is abstract.
    """
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), address)
    except OSError:
        pass  # nobody listens, but the server can answer anyway
