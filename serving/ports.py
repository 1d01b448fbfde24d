"""Ports of the loopback interface: is this one free, and which one is."""

import errno
import socket

from serving.errors import PortInUse, ServingError

LOOPBACK = "127.0.0.1"


def listen(port: int, option: str, host: str = LOOPBACK) -> socket.socket:
    """A socket that listens on the port; 0 takes a free one.

    Raises:
        PortInUse: something listens there already; the message names the port and `option`.
        ServingError: the port can't be bound for another reason.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last connections only linger is free
    try:
        bound.bind((host, port))
        bound.listen()  # two sockets that only are bound may share a port
    except (OSError, OverflowError) as error:
        bound.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} ({option}) is in use on {host}. Stop the program that listens there "
                f"(`ss -ltnp 'sport = :{port}'` names it), or choose another with {option}; 0 takes a free one."
            ) from None
        raise ServingError(f"port {port} ({option}) can't be bound on {host}: {error}. Choose another.") from None
    return bound


def claim(wanted: dict[str, int]) -> dict[str, int]:
    """The ports to use, by option; a 0 is replaced by a free port. All are held at once, so they differ.

    Between this check and the moment a server binds, another process may take a port; the server then fails to start.

    Raises:
        PortInUse: one is taken.
    """
    held = []
    try:
        for option, port in wanted.items():
            held.append(listen(port, option))
        return {option: bound.getsockname()[1] for option, bound in zip(wanted, held, strict=True)}
    finally:
        for bound in held:
            bound.close()
