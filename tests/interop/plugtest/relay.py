"""A relay that loses datagrams, between one server and any number of clients, on loopback.

SPDX-License-Identifier: BSD-2-Clause
"""
import random
import selectors
import socket
import threading


class Relay:
    """Listens at `address`; loses each datagram with probability `loss`, as `seed` says, but of any three of a client, to it or from it, one
    at most: whoever repeats himself a few times gets through, and not merely as a rule. It ends with `stage`."""

    def __init__(self, stage, server, loss, seed):
        self.server, self.loss, self.random = server, loss, random.Random(seed)
        self.lost = self.passed = 0
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.address = self.front.getsockname()
        self.clients, self.passed_since = {}, {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.done = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        stage.cleanups.append(self.stop)

    def passes(self, client):
        since = self.passed_since.get(client, 2)
        lost = since >= 2 and self.random.random() < self.loss
        self.passed_since[client] = 0 if lost else since + 1
        self.lost += lost
        self.passed += not lost
        return not lost

    def upstream(self, client):
        if client not in self.clients:
            back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind(("127.0.0.1", 0))
            back.connect(self.server)
            self.selector.register(back, selectors.EVENT_READ, client)
            self.clients[client] = back
        return self.clients[client]

    def run(self):
        while not self.done:
            for key, _ in self.selector.select(0.1):
                try:
                    if key.data is None:
                        data, client = self.front.recvfrom(65536)
                        if self.passes(client):
                            self.upstream(client).send(data)
                    else:
                        data = key.fileobj.recv(65536)
                        if self.passes(key.data):
                            self.front.sendto(data, key.data)
                except ConnectionRefusedError:
                    pass  # nobody listens any more: lost too

    def stop(self):
        self.done = True
        self.thread.join()
        self.front.close()
        for back in self.clients.values():
            back.close()
