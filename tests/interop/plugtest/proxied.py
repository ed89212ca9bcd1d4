"""A client of the plugtest cases whose requests go to one device through the gateway, with a session of its own.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

import cases
from stage import ACK, CON, OBSERVE, PATIENCE, PROXY_URI, Failure, Message, check, equal


class Proxied(cases.Client):
    """A client whose requests go to one device through the gateway."""

    def __init__(self, stage, name):
        super().__init__(stage.gateway_address)
        self.open_session(stage.token(f"strict {name}"))
        self.name = name

    def ask(self, method, path, kind=CON, token=None, query=(), options=(), payload=b""):
        uri = f"coap://{self.name}{path}" + ("?" + "&".join(query) if query else "")
        options = [(PROXY_URI, uri.encode()), *options]
        if kind != CON:
            return super().ask(method, "", kind, token, (), options, payload)
        # The gateway acknowledges at once, and answers when the device has: what the device sent with its acknowledgement
        # is a message of its own here. Notifications under the same token may come before the acknowledgement.
        request = Message(CON, method, self.next_mid(), os.urandom(8) if token is None else token, options, payload)
        for pause in (3, 6, 12, 24, PATIENCE):
            self.send(request)
            ack = self.take(lambda m: m.kind == ACK and m.mid == request.mid, pause)
            if ack:
                break
        else:
            raise Failure(f"no acknowledgement of {request}")
        if ack.code:  # the cache has the answer
            equal(ack.token, request.token, f"{path}: token")
            self.answered.add(ack.mid)
            return ack
        for message in [m for m in self.pending if m.code and m.token == request.token]:
            self.pending.remove(message)
            if message.kind == CON:
                self.acknowledge(message)
        ends = request.option(OBSERVE) == b"\1"  # copies of what was told before may still come
        reply = self.take(lambda m: m.code and m.token == request.token and not (ends and m.option(OBSERVE) is not None), PATIENCE)
        check(reply is not None, f"{path}: acknowledged and never answered")
        equal(reply.kind, CON, f"{path}: type of the answer")
        self.acknowledge(reply)
        reply.kind = ACK  # as the cases know it
        return reply
