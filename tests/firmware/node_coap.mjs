// The node as the npm package `coap` sees it: methods, blocks both ways, an observation.
//
//	node node_coap.mjs ADDRESS
//
// SPDX-License-Identifier: BSD-2-Clause
import { createRequire } from "node:module";

const coap = createRequire(new URL("../interop/", import.meta.url))("coap");
// Nothing is lost on the way: a request that is repeated because the machine is slow brings a second answer, and the package appends each
// answer's block to the body.
coap.updateTiming({ ackTimeout: 20 });
const agent = new coap.Agent({ type: "udp6" });
const host = process.argv[2];
const body = "abcdefghijklmnopqrstuvwxyz".repeat(50).slice(0, 1280);

function check(condition, what) {
	if (!condition) {
		throw new Error(what);
	}
	console.log(`ok ${what}`);
}

function ask(method, pathname, { options = {}, payload, observe = false } = {}) {
	return new Promise((resolve, reject) => {
		const request = coap.request({ host, port: 5683, method, pathname, observe, agent });
		for (const [name, value] of Object.entries(options)) {
			request.setOption(name, value);
		}
		request.on("response", resolve);
		request.on("error", reject);
		request.end(payload);
	});
}

const text = { "Content-Format": "text/plain" };
check((await ask("GET", "/test")).payload.length > 0, "GET");
check((await ask("PUT", "/test", { options: text, payload: "TEST" })).code === "2.04", "PUT");
check((await ask("GET", "/test")).payload.toString() === "TEST", "GET of what was put");
check((await ask("POST", "/test", { options: text, payload: "TEST" })).code === "2.01", "POST");
check((await ask("DELETE", "/test")).code === "2.02", "DELETE");
check((await ask("GET", "/nothing")).code === "4.04", "4.04");
check((await ask("GET", "/separate")).payload.toString() === "it took a second\n", "a separate response");
check((await ask("GET", "/large")).payload.length === 1280, "Block2");
check((await ask("GET", "/.well-known/core")).payload.toString().includes("</obs>;rt=\"observe\""), "/.well-known/core");
const put = await ask("PUT", "/large-update", { options: { ...text, Block1: Buffer.from([2]) }, payload: body });
check(put.code === "2.04", "Block1");
check((await ask("GET", "/large-update")).payload.toString() === body, "Block2 of what was put");
const observation = await ask("GET", "/obs", { observe: true });
let seen = 0;
await new Promise((resolve) => observation.on("data", () => ++seen === 3 && resolve()));
observation.close();
check(seen >= 3, "notifications");
process.exit(0);
