"""The world outside, for the tests of the broker: a network namespace of its own with servers and a name server.

    internet.py CONTROL_FD      reads one byte (the link is there), sets the addresses up, answers with one byte, serves until end of file

TCP servers greet with "port N" and close, but for HTTP_PORT, which answers a request. Names: ZONE.
"""
import os
import select
import socket
import struct
import subprocess
import sys

ADDRESSES = ["93.184.215.14/24", "93.184.215.15/24", "10.9.0.5/24", "192.0.2.53/24"]
ADDRESSES6 = ["2606:2800:21f::14/64"]
PORTS = [80, 443, 4327]
HTTP_PORT = 8080


def a(text):
    return (1, socket.inet_aton(text))


def aaaa(text):
    return (28, socket.inet_pton(socket.AF_INET6, text))


ZONE = {
    "api.example.com": [a("93.184.215.14"), aaaa("2606:2800:21f::14")],
    "two.example.com": [a("93.184.215.15")],
    "rebind.example.com": [a("127.0.0.1"), a("169.254.169.254"), a("10.9.0.5")],
    "mapped.example.com": [aaaa("::ffff:127.0.0.1"), aaaa("64:ff9b::7f00:1")],
    "www.example.org": [(5, "edge.example.net")],
    "edge.example.net": [a("93.184.215.14")],
    "big.example.com": [a(f"93.184.215.{n}") for n in range(14, 54)],
}


def name_of(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(packet, tcp):
    name, end = name_of(packet, 12)
    kind = struct.unpack("!H", packet[end:end + 2])[0]
    records, owner = [], name
    while True:
        found = ZONE.get(owner)
        aliases = [data for wanted, data in found or [] if wanted == 5]
        records += [(owner, wanted, data) for wanted, data in found or [] if wanted in (kind, 5)]
        if not aliases:
            break
        owner = aliases[0]
    body = b""
    for owner, wanted, data in records:
        data = encode(data) if wanted == 5 else data
        body += encode(owner) + struct.pack("!HHIH", wanted, 1, 1, len(data)) + data
    rcode = 0 if name in ZONE else 3
    if name == "silent.example.com":
        return None
    if len(body) > 480 and not tcp:
        return packet[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + packet[12:end + 4]
    return packet[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(records), 0, 0) + packet[12:end + 4] + body


def tcp_question(connection):
    with connection:
        size = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))[0]
        reply = answer(connection.recv(size, socket.MSG_WAITALL), True)
        connection.sendall(struct.pack("!H", len(reply)) + reply)


def main():
    control = int(sys.argv[1])
    os.read(control, 1)
    for command in (["link", "set", "lo", "up"], *(["addr", "add", address, "dev", "outside"] for address in ADDRESSES),
                    *(["-6", "addr", "add", address, "dev", "outside", "nodad"] for address in ADDRESSES6), ["link", "set", "outside", "up"]):
        subprocess.run(["ip", *command], check=True)
    greeters, names = {}, socket.create_server(("", 53), backlog=64)
    for port in [*PORTS, HTTP_PORT]:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        greeters[listener] = port
    questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    questions.bind(("", 53))
    os.write(control, b"r")
    watched = [control, names, questions, *greeters]
    while True:
        for ready in select.select(watched, [], [])[0]:
            if ready == control:
                return
            if ready is questions:
                packet, peer = questions.recvfrom(4096)
                reply = answer(packet, False)
                if reply is not None:
                    questions.sendto(reply, peer)
            elif ready is names:
                tcp_question(names.accept()[0])
            else:
                with ready.accept()[0] as connection:
                    if greeters[ready] == HTTP_PORT:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n")
                        continue
                    connection.sendall(f"port {greeters[ready]}\n".encode())


main()
