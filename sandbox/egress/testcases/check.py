"""What libraries of Python do with `network: egress`: a line "NAME=RESULT" each on descriptor 3, 0 is good. Waits for a line first."""
import asyncio
import errno
import os
import socket
import subprocess
import sys
import threading
import urllib.request

channel = os.fdopen(3, "rb+", buffering=0)
channel.write(b"HELLO\n")
channel.read(1)


def check(name, what):
    try:
        result = what()
    except Exception as error:  # pylint: disable=broad-except
        result = repr(error).replace("\n", " ")
    channel.write(f"{name}={'0' if result in (None, True, 0) else result}\n".encode())


def refused(what):
    try:
        what()
    except OSError as error:
        return error.errno == errno.EACCES or f"errno {error.errno}"
    return "it was not refused"


def greeting(host, port, timeout=None):
    with socket.create_connection((host, port), timeout=timeout) as connection:
        return connection.recv(64) == f"port {port}\n".encode()


async def streams():
    reader, writer = await asyncio.open_connection("api.example.com", 80)
    line = await reader.readline()
    writer.close()
    return line == b"port 80\n"


async def many():
    return all(await asyncio.gather(*(streams() for _ in range(20))))


def in_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(greeting("93.184.215.14", 80))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results == [True] * 8


def own_server():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    peer = server.accept()[0]
    client.sendall(b"x")
    return peer.recv(1) == b"x"


def local_socket():
    server = socket.socket(socket.AF_UNIX)
    server.bind("/tmp/own.sock")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect("/tmp/own.sock")
    return server.getsockname() == "/tmp/own.sock"


def in_a_child():
    code = "import socket; print(socket.create_connection(('api.example.com', 80)).recv(7).decode(), end='')"
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout == "port 80"


def unknown():
    try:
        socket.getaddrinfo("two.example.com", 80)
    except socket.gaierror:
        return True
    return "it was resolved"


check("blocking", lambda: greeting("api.example.com", 80))
check("with a timeout", lambda: greeting("api.example.com", 80, timeout=5))
check("urllib", lambda: urllib.request.urlopen("http://api.example.com:8080/", timeout=5).read() == b"hi\n")
check("asyncio", lambda: asyncio.run(streams()))
check("asyncio, 20 at once", lambda: asyncio.run(many()))
check("threads", in_threads)
check("child", in_a_child)
check("own server", own_server)
check("local socket", local_socket)
check("no rule", lambda: refused(lambda: greeting("93.184.215.15", 80)))
check("special", lambda: refused(lambda: greeting("10.9.0.5", 80)))
check("no name", unknown)
channel.write(b"END\n")
channel.read(1)
