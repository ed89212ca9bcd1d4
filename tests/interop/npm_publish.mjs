// The npm package `coap` as a sensor: confirmable readings with rising values, one after another, each told when it is acknowledged.
//
//	node npm_publish.mjs GATEWAY-PORT DEVICE     prints "acknowledged N" until it is ended
//
// A message that stays without an answer, as while the gateway is down, is given up, and the next value follows: nobody may
// say that it is stored, nor that it is not.
//
// SPDX-License-Identifier: BSD-2-Clause
import { createRequire } from "node:module";

const coap = createRequire(import.meta.url)("coap");
const [port, device] = process.argv.slice(2);
const PATIENCE = 1500;

function publish(agent, value) {
	return new Promise((resolve) => {
		const request = coap.request({ host: "127.0.0.1", port: Number(port), method: "POST", pathname: "/publish", confirmable: true, agent });
		const give = setTimeout(() => resolve(""), PATIENCE);
		const done = (code) => {
			clearTimeout(give);
			resolve(code);
		};
		request.setOption("Content-Format", Buffer.from([110]));
		request.on("response", (response) => done(response.code));
		request.on("error", () => done(""));
		request.end(JSON.stringify([{ n: `device:${device}:n`, v: value }]));
	});
}

process.on("uncaughtException", () => {}); // of a socket whose peer is away
for (let value = 0; ; value++) {
	const agent = new coap.Agent({ type: "udp4" });
	if ((await publish(agent, value)) === "2.04") {
		console.log(`acknowledged ${value}`);
	}
	agent.close();
}
