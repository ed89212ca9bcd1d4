// A session with a gateway for a client of the npm package `coap`.
//
// SPDX-License-Identifier: BSD-2-Clause
import { createRequire } from "node:module";

export const coap = createRequire(import.meta.url)("coap");

// Resolved when the gateway at `server` (host, port and agent) has taken `token`.
export function session(server, token) {
	return new Promise((resolve, reject) => {
		const request = coap.request({ ...server, method: "POST", pathname: "/sessions", query: "security=none" });
		request.on("response", (response) => (response.code === "2.01" ? resolve() : reject(new Error(`session: ${response.code}`))));
		request.on("error", reject);
		request.end(token);
	});
}
