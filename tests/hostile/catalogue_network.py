"""Cases 59 to 71 and 114: the network. Network mode `none` is a function's default; the `egress` cases name theirs."""
from case import Attempt as A
from case import Case

OWN = ("127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "127.1.2.3", "2130706433", "0177.0.0.1", "127.1")

CASES = [
    Case(59, "addresses outside", (A("connect 192.0.2.1 80", "ENETUNREACH", degraded="ETIMEDOUT|ENETUNREACH|ECONNREFUSED|EHOSTUNREACH|ok", control_text="connect 127.0.0.1 {port}", control="ok"),
                                   A("connect 2001:db8::1 80", "ENETUNREACH|EADDRNOTAVAIL", degraded="ETIMEDOUT|ENETUNREACH|EADDRNOTAVAIL|EHOSTUNREACH", control_text="connect 127.0.0.1 {port}", control="ok"))),
    Case(60, "metadata services", (A("connect 169.254.169.254 80", "ENETUNREACH", degraded="ok|ETIMEDOUT|ENETUNREACH|ECONNREFUSED|EHOSTUNREACH", control_text="connect 127.0.0.1 {port}", control="ok"),
                                   A("connect fd00:ec2::254 80", "ENETUNREACH|EADDRNOTAVAIL", degraded="ETIMEDOUT|ENETUNREACH|EADDRNOTAVAIL|EHOSTUNREACH", control_text="connect 127.0.0.1 {port}", control="ok"))),
    Case(61, "the host's own addresses, however written", tuple(
        A(f"connect {address} {{any_port}}", "ECONNREFUSED", degraded="ok", control="ok") for address in OWN)
        + (A("connect {host} {any_port}", "ENETUNREACH", degraded="ok", control="ok"), A("connect 127.0.0.1 {port}", "ECONNREFUSED", degraded="ok", control="ok"))),
    Case(62, "MSG_FASTOPEN, MPTCP, SCTP, UDP", (
        A("fastopen 127.0.0.1 {port}", "EOPNOTSUPP", control="ok"), A("fastopen_message 127.0.0.1 {port}", "EOPNOTSUPP", control="ok"),
        A("socket 2 1 262", "EPROTONOSUPPORT", control="ok"), A("socket 2 1 132", "EPROTONOSUPPORT", control="ok|EPROTONOSUPPORT"),
        A("udp 192.0.2.1 53", "ENETUNREACH", degraded="ok|ENETUNREACH", control="ok|ENETUNREACH", control_text="udp 127.0.0.1 9"))),
    Case(63, "raw, packet, XDP, ALG, VSOCK, netlink sockets", (
        A("socket 2 3 1", "EPERM", control="ok"), A("socket 17 3 0", "EAFNOSUPPORT", control="ok"), A("socket 44 3 0", "EAFNOSUPPORT", control="ok|EAFNOSUPPORT"),
        A("socket 38 5 0", "EAFNOSUPPORT", control="ok|EAFNOSUPPORT"), A("socket 40 1 0", "EAFNOSUPPORT", control="ok"), A("socket 16 3 12", "EPROTONOSUPPORT", control="ok"),
        A("socket 31 3 0", "EAFNOSUPPORT", control="ok|EAFNOSUPPORT"), A(f"socket {2 | 1 << 30} 1 0", "EAFNOSUPPORT", control="EAFNOSUPPORT"))),
    Case(64, "an abstract socket of the host", (A("abstract {abstract}", "ECONNREFUSED", degraded="EPERM", control="ok"),)),
    Case(65, "named sockets of the host", (A("unix {socket}", "ENOENT", degraded="ok", control="ok"),
                                           A("stat /run/docker.sock", "ENOENT", degraded="ENOENT|ok", control_text="stat {socket}", control="ok"))),
    Case(66, "two functions on one port", check="same_port", strict="each its own", degraded="second refused", control="second refused", languages="Python, Node"),
    Case(67, "DNS rebinding to 127.0.0.1", check="rebinding", strict="refused at connect", degraded="refused at deploy", control="connected", control_by="function", languages="Python"),
    Case(68, "a flood of connections that nobody answers", check="connect_flood", strict="capped", degraded="refused at deploy", control="reached", control_by="function", languages="Python"),
    Case(69, "an address changed while it is checked", check="address_race", strict="0 leaks", degraded="refused at deploy", control="leaks", control_by="function", languages="C"),
    Case(70, "socket filters, TCP_ULP, TCP_REPAIR", (A("sockopt 1 26", "EPERM", control="EFAULT|EINVAL|ok"), A("sockopt 6 31", "ENOPROTOOPT", control="ENOENT|ENOTCONN|ok"),
                                                   A("sockopt 6 19", "ENOPROTOOPT", control="ok|EINVAL"), A("sockopt 1 50", "EPERM", control="EBADF|EINVAL|EFAULT"))),
    Case(114, "the engine's API from the host's network", check="engine_from_host", strict="refused", degraded="refused at deploy", control="connected",
         control_by="function", languages="Python"),
    Case(71, "a listener that another sandbox calls", check="reach_another", strict="refused", degraded="connected", control="connected", languages="Python"),
]
