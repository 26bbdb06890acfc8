"""Free ports of loopback for services that a test stops and starts again.

Standard library only. As a program it prints as many as it is asked for.
"""

import random
import socket
import sys


def free_ports(count):
    """Ports that nothing is bound to, below those that the kernel gives away by itself: while a
    service is down, no connection to another one can come to sit on its port."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        end = int(file.read().split()[0])
    first = 20_000 if end > 21_000 else 10_000
    sockets = []
    try:
        for _ in range(1000):
            if len(sockets) == count:
                return [s.getsockname()[1] for s in sockets]
            s = socket.socket()
            try:
                # Where the kernel gives away nearly all, there is nothing better than its choice.
                s.bind(("127.0.0.1", random.randrange(first, end) if end > first + 1000 else 0))
                sockets.append(s)
            except OSError:
                s.close()
    finally:
        for s in sockets:
            s.close()
    raise OSError("there are no free ports")


if __name__ == "__main__":
    print(*free_ports(int(sys.argv[1])))
