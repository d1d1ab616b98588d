"""Just enough of the Kafka protocol to send what no client library would: many requests at once, and logins by the dozen."""
import socket
import struct

METADATA, SASL_HANDSHAKE, SASL_AUTHENTICATE = 3, 17, 36
LIMIT_SECONDS = 30


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Wire:
    def __init__(self, address, key, secret):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.call(SASL_HANDSHAKE, 1, text("PLAIN"))
        token = f"\0{key}\0{secret}".encode()
        answer = self.call(SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        (self.code, length) = struct.unpack(">hh", answer[4:8])
        self.message = answer[8:8 + max(length, 0)].decode()

    @staticmethod
    def frame(api, version, body):
        request = struct.pack(">hhi", api, version, 1) + text("e2e") + body
        return struct.pack(">i", len(request)) + request

    def call(self, api, version, body):
        self.socket.sendall(self.frame(api, version, body))
        return self.receive()

    def receive(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def read(self, size):
        parts = []
        while size > 0:
            part = self.socket.recv(size)
            assert part, "the server closed the connection"
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self):
        self.socket.close()
