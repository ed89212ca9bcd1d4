// The npm package `coap` as a client of the gateway, and as a device behind it.
//
//	node npm_coap.mjs device                     prints "port N" and answers until it is ended
//	node npm_coap.mjs register GATEWAY-PORT EP    the same, and registers with the gateway's resource directory
//	node npm_coap.mjs client PORT GATEWAY-PORT TOKEN DEVICE   opens a session from PORT, uses the device, closes it
//
// SPDX-License-Identifier: BSD-2-Clause
import { createRequire } from "node:module";

const coap = createRequire(import.meta.url)("coap");

function device(started) {
	const server = coap.createServer();
	let setting = "1";
	server.on("request", (request, response) => {
		if (request.url === "/temperature" && request.method === "GET") {
			response.setOption("Content-Format", "text/plain");
			response.end("21.5");
		} else if (request.url === "/setting" && request.method === "PUT") {
			setting = request.payload.toString();
			response.code = "2.04";
			response.end();
		} else if (request.url === "/setting" && request.method === "GET") {
			response.end(setting);
		} else if (request.url === "/slow" && request.method === "GET") {
			// later than the package waits before it acknowledges: a separate response
			setTimeout(() => response.end("after a while"), 300);
		} else {
			response.code = "4.04";
			response.end();
		}
	});
	server.listen(0, "127.0.0.1", () => {
		const { port } = server._sock.address();
		console.log(`port ${port}`);
		started(port);
	});
}

// RFC 9176 §5: the request leaves from another port than the server's, which is told as the base
function register(gateway, name, port) {
	const query = `ep=${name}&base=coap://127.0.0.1:${port}`;
	const request = coap.request({ host: "127.0.0.1", port: gateway, method: "POST", pathname: "/rd", query });
	request.setOption("Content-Format", "application/link-format");
	request.on("response", (response) => {
		const path = response.options.filter((o) => o.name === "Location-Path").map((o) => o.value);
		console.log(`registered ${response.code} /${path.join("/").replace(/^\//, "")}`);
	});
	request.end('</temperature>;rt="temperature-c",</setting>');
}

function ask(agent, port, method, options, payload) {
	return new Promise((resolve, reject) => {
		const request = coap.request({ host: "127.0.0.1", port, method, agent, ...options });
		request.on("response", (response) => resolve({ code: response.code, payload: response.payload.toString() }));
		request.on("error", reject);
		request.end(payload);
	});
}

function expect(found, code, payload, what) {
	if (found.code !== code || (payload !== null && found.payload !== payload)) {
		throw new Error(`${what}: ${found.code} "${found.payload}", expected ${code} "${payload}"`);
	}
	console.log(`${what}: ${found.code} ${found.payload}`);
}

async function client(localPort, gateway, token, name) {
	const agent = new coap.Agent({ type: "udp4", port: localPort });
	const through = (method, path, payload) => ask(agent, gateway, method, { proxyUri: `coap://${name}${path}` }, payload);

	expect(await through("GET", "/temperature"), "4.01", null, "without a session");
	// the package knows no Echo: a long answer has to wait for the session
	expect(await ask(agent, gateway, "GET", { pathname: "/help" }), "4.01", "", "help for an address that may be forged");
	expect(await ask(agent, gateway, "POST", { pathname: "/sessions", query: "security=none" }, token), "2.01", null, "open");
	expect(await through("GET", "/temperature"), "2.05", "21.5", "temperature");
	expect(await ask(agent, gateway, "GET", { pathname: "/help" }), "2.05", null, "help");
	expect(await through("PUT", "/setting", "seven"), "2.04", "", "write");
	expect(await through("GET", "/setting"), "2.05", "seven", "read back");
	expect(await through("GET", "/slow"), "2.05", "after a while", "separate response");
	expect(await through("GET", "/nowhere"), "4.04", null, "unknown resource");
	expect(await ask(agent, gateway, "DELETE", { pathname: "/sessions" }), "2.02", null, "close");
	expect(await through("GET", "/temperature"), "4.01", null, "after closing");
	agent.close();
}

const [role, ...rest] = process.argv.slice(2);
if (role === "device") {
	device(() => {});
} else if (role === "register") {
	device((port) => register(Number(rest[0]), rest[1], port));
} else {
	client(Number(rest[0]), Number(rest[1]), rest[2], rest[3]).then(
		() => process.exit(0),
		(error) => {
			console.error(error.message);
			process.exit(1);
		},
	);
}
