"""Small clients of the two debuggers that `hearth dev --debug` opens: Node's inspector (its protocol over a websocket) and debugpy (DAP)."""
import base64
import http.client
import json
import os
import socket
import struct

from harness import PATIENCE


class Peer:
    """Messages in JSON with a socket: requests with their answers, and events that are waited for."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20 * PATIENCE)
        self.file = self.socket.makefile("rb")
        self.number = 0
        self.events = []

    def close(self):
        self.file.close()
        self.socket.close()

    def exactly(self, size):
        data = self.file.read(size)
        if len(data) != size:
            raise ConnectionError("the debugger has closed the connection")
        return data

    def until(self, wanted):
        """The first message that `wanted` accepts: of those that came before it, or to come."""
        for index, event in enumerate(self.events):
            if wanted(event):
                return self.events.pop(index)
        while True:
            message = self.receive()
            if wanted(message):
                return message
            self.events.append(message)


class Inspector(Peer):
    def __init__(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * PATIENCE)
        connection.request("GET", "/json/list")
        path = "/" + json.loads(connection.getresponse().read())[0]["webSocketDebuggerUrl"].split("/", 3)[3]
        connection.close()
        super().__init__(port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        status = self.file.readline()
        if b" 101 " not in status:
            raise ConnectionError(status)
        while self.file.readline().strip():
            pass

    def send(self, message):
        data = json.dumps(message).encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(data))
        self.socket.sendall(b"\x81" + size + b"\0\0\0\0" + data)  # masked, with zeros

    def receive(self):
        _, size = self.exactly(2)
        if size == 126:
            size = struct.unpack(">H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.exactly(8))[0]
        return json.loads(self.exactly(size))

    def ask(self, method, **params):
        self.number += 1
        number = self.number
        self.send({"id": number, "method": method, "params": params})
        answer = self.until(lambda message: message.get("id") == number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def event(self, method):
        return self.until(lambda message: message.get("method") == method)["params"]


class Debugpy(Peer):
    def send(self, message):
        data = json.dumps(message).encode()
        self.socket.sendall(f"Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def receive(self):
        size = 0
        while line := self.file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return json.loads(self.exactly(size))

    def begin(self, command, **arguments):
        self.number += 1
        self.send({"seq": self.number, "type": "request", "command": command, "arguments": arguments})
        return self.number

    def end(self, number):
        answer = self.until(lambda message: message.get("type") == "response" and message.get("request_seq") == number)
        if not answer["success"]:
            raise AssertionError(f"{answer['command']}: {answer.get('message')}")
        return answer.get("body", {})

    def ask(self, command, **arguments):
        return self.end(self.begin(command, **arguments))

    def event(self, name):
        return self.until(lambda message: message.get("type") == "event" and message.get("event") == name).get("body", {})
