#!/usr/bin/env python3
"""The gateway towards foreign devices by DTLS: libcoap's servers by GnuTLS and by OpenSSL, openssl s_server, gnutls-serv; with certificates,
raw public keys and pre-shared keys side by side. Who is not the device that the configuration knows is refused, by name or by key, and
files and names that change with a reload hold from then on.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import signal

from secure import PSK, OpensslDevice, coap_server, make_key, tool, write_secret
from stage import check, equal, free_port, play, until

MESH = '''psk_file = "devices.psk"
	certificate = "gateway.crt"
	private_key = "gateway.key"
	raw_key = "gateway.key"
	ca = "ca.crt"
	ack_timeout = 2'''


def gnutls_serv(stage, name):
    """It sends back what it gets, and knows nothing of CoAP: that there is an association is what it shows."""
    port = free_port()
    stage.start("gnutls-serv", [tool("gnutls-serv"), "--udp", "--echo", "-p", str(port), "--rawpkkeyfile", stage.path(f"{name}.key"),
                                "--rawpkfile", stage.path(f"{name}.pub"), "--disable-client-cert",
                                "--priority", "NORMAL:-VERS-ALL:+VERS-DTLS1.2:+CTYPE-SRV-RAWPK:+AES-128-CCM-8"]).says("listening|ready")
    return port


class Field:
    """The devices, each behind a port of its own, and what the configuration says of them beside."""

    def __init__(self, stage):
        self.stage, self.extra = stage, {}

    def add(self, name, port, extra=""):
        self.stage.add_device(name, 1 + len(self.extra), kind="foreign")  # nobody is there; what it is known by to the cache
        self.stage.secure_ports[name] = port
        self.extra[name] = extra

    def write(self):
        """What stage.start_gateway has written, with what is particular to each device."""
        path = self.stage.path("gateway.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name, extra in self.extra.items():
            text = re.sub(f'(device "{name}" {{\n)(\t#.*\n\t.*\n)?', lambda found, extra=extra: found.group(1) + f"\t# own\n\t{extra}\n", text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def get(stage, name, path="time"):
    return stage.copse("get", f"coap://{name}/{path}", "--timeout", "120")


def refused(stage, gateway, name, why):
    done = get(stage, name)
    equal(done.returncode, 5, f"{name}: {done.stdout}{done.stderr}")
    check("5.02" in done.stderr + done.stdout and why in done.stderr + done.stdout, f"{name}: {done.stdout}{done.stderr}")
    gateway.says(f"no secure association with a device.*:{stage.secure_ports[name]}\\b.*{why}")


def unproved(stage):
    text = stage.copse("get", f"{stage.gateway_uri()}/metrics").stdout
    return int(re.search(r"^copse_gateway_device_unproved_total (\d+)", text, re.M).group(1))


def reload(gateway, field):
    field.write()
    seen = gateway.output().count("msg=reloaded")
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.output().count("msg=reloaded") > seen, "the gateway has read its configuration again")


def build(stage):
    """A device for each way, and one of each that is not who it should be."""
    key, cert = ["-j", stage.path("{}.key")], ["-c", stage.path("{}.crt")]

    def own(name):
        return [argument.format(name) for argument in cert + key]
    make_key(stage, "ca", "DNS:ca.example")
    make_key(stage, "stranger", "DNS:lamp-gnutls")  # of no authority that is believed, though of the right name
    for name in ("gateway", "lamp-gnutls", "lamp-openssl", "lamp-sserver", "heater", "other"):
        make_key(stage, name, f"DNS:{name}", "ca")
    authority = ["-C", stage.path("ca.crt")]
    field = Field(stage)
    field.add("lamp-gnutls", coap_server(stage, "gnutls", *own("lamp-gnutls"), *authority))
    field.add("lamp-openssl", coap_server(stage, "openssl", *own("lamp-openssl"), *authority))
    sserver = OpensslDevice(stage, "-cert", stage.path("lamp-sserver.crt"), "-key", stage.path("lamp-sserver.key"), "-cipher",
                            "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", "-CAfile", stage.path("ca.crt"), "-Verify", "1", "-verify_return_error")
    field.add("lamp-sserver", sserver.port)
    field.add("meter", coap_server(stage, "gnutls", "-k", PSK))
    ccm8 = OpensslDevice(stage, "-nocert", "-psk", PSK.encode().hex(), "-psk_identity", "meter-ccm8", "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0")
    field.add("meter-ccm8", ccm8.port)
    field.add("heater-raw", coap_server(stage, "gnutls", "-M", stage.path("heater.both"), "-n"), 'raw_key = "heater.pub"')
    field.add("echo-raw", gnutls_serv(stage, "heater"), 'raw_key = "heater.pub"')
    field.add("misnamed", coap_server(stage, "gnutls", *own("other"), "-n"))
    field.add("unsigned", coap_server(stage, "openssl", *own("stranger"), "-n"), 'certificate_name = "lamp-gnutls"')
    field.add("imposter", gnutls_serv(stage, "other"), 'raw_key = "heater.pub"')
    field.add("downgraded", coap_server(stage, "openssl", "-k", PSK), 'raw_key = "heater.pub"')
    write_secret(stage, "devices.psk", "".join(f"{name}:{PSK.encode().hex()}\n" for name in ("meter", "meter-ccm8")))
    return field


def test(stage):
    field = build(stage)
    gateway = stage.start_gateway("", MESH, "secure")
    reload(gateway, field)
    opened = stage.copse("session", "open", stage.gateway_uri(), "--token", stage.token())
    equal(opened.returncode, 0, f"session open: {opened.stdout}{opened.stderr}")
    for name in ("lamp-gnutls", "lamp-openssl", "lamp-sserver", "meter", "meter-ccm8", "heater-raw"):
        done = get(stage, name)
        equal(done.returncode, 0, f"{name}: {done.stdout}{done.stderr}\n{gateway.output()}")
    get(stage, "echo-raw")  # its own request is no answer, but it came by an association
    check("no secure association" not in gateway.output(), gateway.output())
    refused(stage, gateway, "misnamed", "is for another name")
    refused(stage, gateway, "unsigned", "not signed by an authority that is believed")
    refused(stage, gateway, "imposter", "not one that is believed")
    refused(stage, gateway, "downgraded", "")
    equal(unproved(stage), 4, "what has been refused is counted")
    # the operator learns that the device is called otherwise
    field.extra["misnamed"] = 'certificate_name = "other"'
    reload(gateway, field)
    equal(get(stage, "misnamed").returncode, 0, f"by its right name: {gateway.output()}")
    # a key that others may read changes nothing
    os.chmod(stage.path("gateway.key"), 0o644)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says("chmod 600")
    equal(get(stage, "misnamed").returncode, 0, "as before")
    check(PSK.encode().hex() not in gateway.output() and "PRIVATE KEY" not in gateway.output(), "a key is in the log")


play(test)
