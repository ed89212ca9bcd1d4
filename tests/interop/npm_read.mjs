// The npm package `coap` as a reader of what the gateway stores.
//
//	node npm_read.mjs PORT GATEWAY-PORT TOKEN PATH QUERY     opens a session from PORT, prints the body, of as many blocks as it has
//
// SPDX-License-Identifier: BSD-2-Clause
import { coap, session } from "./plugtest/npm_session.mjs";

const [localPort, port, token, pathname, query] = process.argv.slice(2);
const server = { host: "127.0.0.1", port: Number(port), agent: new coap.Agent({ type: "udp4", port: Number(localPort) }) };

session(server, token)
	.then(() => new Promise((resolve, reject) => {
		const request = coap.request({ ...server, pathname, query });
		request.on("response", (response) => (response.code === "2.05" ? resolve(response.payload) : reject(new Error(response.code))));
		request.on("error", reject);
		request.end();
	}))
	.then(
		(body) => {
			process.stdout.write(body);
			server.agent.close();
		},
		(error) => {
			console.error(error.message);
			process.exit(1);
		},
	);
