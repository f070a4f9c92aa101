"""A mail server for the tests. It keeps every mail it accepts as a file of JSON, and misbehaves as it is told.

Each line that it reads is a behaviour, answered by a line; where there is nothing more to read, it ends.
"""

import argparse
import asyncio
import base64
import email
import email.policy
import json
import os
import socket
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Behaviour:
    """What it does at present."""

    def __init__(self):
        self.name, self.delay = "ok", 0.0
        self.released = asyncio.Event()

    def become(self, line):
        name, _, milliseconds = line.partition(" ")
        self.released.set()
        self.released = asyncio.Event()
        self.name, self.delay = name, int(milliseconds or 0) / 1000


class Connection(SMTP):
    """One connection."""

    live = set()

    def connection_made(self, transport):
        Connection.live.add(self)
        super().connection_made(transport)

    def data_received(self, received):
        # Acknowledged at once: who sends the end of a mail apart from the mail waits for that.
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        super().data_received(received)

    def connection_lost(self, error):
        Connection.live.discard(self)
        super().connection_lost(error)

    async def _handle_client(self):
        behaviour = self.event_handler.behaviour
        self.event_handler.connections += 1
        if behaviour.name == "mute":
            await behaviour.released.wait()
        if behaviour.name == "busy":
            await self.push("421 4.3.2 too busy")
            self.transport.close()
            return
        if behaviour.name == "closed":
            await self.push("554 5.3.2 no mail today")
            self.transport.close()
            return
        await super()._handle_client()

    async def push(self, status):
        behaviour = self.event_handler.behaviour
        # Of an answer of several lines the last one.
        if behaviour.delay and status[3] == " ":
            await asyncio.wait([asyncio.create_task(behaviour.released.wait())], timeout=behaviour.delay)
        await super().push(status)


class Mailboxes:
    """Everybody's, in one folder."""

    def __init__(self, options):
        self.options, self.behaviour = options, Behaviour()
        self.kept, self.connections = 0, 0

    async def handle_RCPT(self, server, session, envelope, address, parameters):
        if self.behaviour.name == "refuse":
            return "451 4.3.0 try again later"
        if self.behaviour.name == "reject":
            return "550 5.1.1 nobody has\tthis address"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        released = self.behaviour.released
        if self.behaviour.name == "hang":
            await released.wait()
            return "451 4.3.0 nothing was kept"
        if self.behaviour.name == "spurn":
            return "554 5.6.0 nobody wants to read this"
        self.keep(session, envelope)
        if self.behaviour.name == "late":
            await released.wait()
        return "250 OK"

    def keep(self, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)

        def part(kind):
            body = message.get_body([kind])
            return body and body.get_content().replace("\r\n", "\n")

        self.kept += 1
        mail = {
            "from": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "subject": message["Subject"] and str(message["Subject"]),
            "text": part("plain"),
            "html": part("html"),
            "headers": [[name, str(value)] for name, value in message.items()],
            "raw": base64.b64encode(envelope.content).decode(),
            "hello": session.host_name,
            "encrypted": session.ssl is not None or self.options.tls == "wrapped",
            "signed_in": bool(session.authenticated),
        }
        name = f"{self.options.folder}/{self.kept:06}.json"
        with open(f"{name}.draft", "w") as file:
            json.dump(mail, file)
        os.rename(f"{name}.draft", name)

    def authenticate(self, server, session, envelope, mechanism, data):
        given = (data.login.decode(), data.password.decode())
        if given == (self.options.user, self.options.password):
            return AuthResult(success=True)
        # As careless as a server can be.
        spoken = base64.b64encode(b"\0" + data.login + b"\0" + data.password).decode()
        said = f"535 5.7.8 wrong: {given[1]} {spoken}"
        return AuthResult(success=False, handled=False, message=said)


def door_at(port):
    """A socket that has its port for itself; who knocks is sent away until somebody listens."""
    door = socket.socket(proto=socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", port))
    return door


async def main(options):
    mailboxes = Mailboxes(options)
    tls = None
    if options.tls != "none":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate, options.key)
    starttls = options.tls == "starttls"

    def connection():
        return Connection(
            mailboxes,
            enable_SMTPUTF8=options.utf8,
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            auth_required=options.user is not None,
            auth_require_tls=starttls,
            authenticator=mailboxes.authenticate,
            timeout=600,
        )

    loop = asyncio.get_running_loop()
    door = door_at(0)
    port = door.getsockname()[1]

    async def listen():
        return await loop.create_server(connection, sock=door, ssl=tls if options.tls == "wrapped" else None)

    server = await listen()
    print(port, flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().strip():
        if line in ("close", "down"):
            for live in list(Connection.live):
                live.transport.abort()
        if line == "down" and server:
            server.close()
            door, server = door_at(port), None
        elif line not in ("close", "connections", "down"):
            mailboxes.behaviour.become(line)
            server = server or await listen()
        print(mailboxes.connections, len(Connection.live), flush=True)
    os._exit(0)


parser = argparse.ArgumentParser()
parser.add_argument("--folder", required=True)
parser.add_argument("--tls", choices=["none", "starttls", "wrapped"], default="none")
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--utf8", action="store_true")
asyncio.run(main(parser.parse_args()))
