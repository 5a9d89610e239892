"""Tells systemd when the server is ready and when it stops, where systemd asks for it (`Type=notify`)."""

import os
import socket


def notify(state: str) -> None:
    """Sends a state such as `READY=1` to the socket named by NOTIFY_SOCKET; does nothing where there is none.

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
        pass  # nobody listens: the server answers none the less
