// The npm package `coap` observes a device through the gateway: three states, and it leaves.
//
//	node npm_observe.mjs GATEWAY-PORT TOKEN OWN-PORT URI
//
// SPDX-License-Identifier: BSD-2-Clause
import { coap, session } from "./npm_session.mjs";

const [port, token, own, uri] = process.argv.slice(2);
const agent = new coap.Agent({ type: "udp4", port: Number(own) });
const server = { host: "127.0.0.1", port: Number(port), agent };

function observation() {
	return new Promise((resolve, reject) => {
		const request = coap.request({ ...server, observe: true, proxyUri: uri });
		request.on("error", reject);
		request.on("response", (stream) => {
			let count = 0;
			if (stream.code !== "2.05") {
				reject(new Error(`observe: ${stream.code}`));
			}
			stream.on("data", () => {
				if (++count === 3) {
					stream.close();
					resolve();
				}
			});
		});
		request.end();
	});
}

// Until all is done, an end is a failure: node ends quietly when nothing is left to wait for.
process.exitCode = 1;
session(server, token).then(observation).then(
	() => process.exit(0),
	(error) => {
		console.error(error.message);
		process.exit(1);
	},
);
