// The plugtest cases as the npm package `coap` walks through them.
//
//	node npm_coap.mjs PORT [lossy]     lossy: what is not confirmable is left out, it would be lost for good
//
// SPDX-License-Identifier: BSD-2-Clause
import { createRequire } from "node:module";

const coap = createRequire(import.meta.url)("coap");
const port = Number(process.argv[2]);
const types = process.argv[3] === "lossy" ? [true] : [true, false];
// Over a clean link nothing is lost: to repeat a request that a slow machine has not answered yet brings a second answer, and the package
// appends each answer's block to the body.
if (types.length > 1) {
	coap.updateTiming({ ackTimeout: 60 });
}
const body = "abcdefghijklmnopqrstuvwxyz".repeat(50).slice(0, 1280);

function check(condition, what) {
	if (!condition) {
		throw new Error(what);
	}
	console.log(`ok ${what}`);
}

function ask(method, pathname, { query, options = {}, payload, confirmable = true } = {}) {
	return new Promise((resolve, reject) => {
		const request = coap.request({ host: "127.0.0.1", port, method, pathname, query, confirmable });
		for (const [name, value] of Object.entries(options)) {
			request.setOption(name, value);
		}
		request.on("response", resolve);
		request.on("error", reject);
		request.end(payload);
	});
}

const option = (response, name) => response.options.filter((o) => o.name === name).map((o) => o.value);
const text = (response) => response.payload.toString();

async function core() {
	for (const confirmable of types) {
		check((await ask("GET", "/test", { confirmable })).code === "2.05", "CC01 CC05");
		check((await ask("DELETE", "/test", { confirmable })).code === "2.02", "CC02 CC06");
		check((await ask("PUT", "/test", { payload: "TEST", confirmable })).code === "2.04", "CC03 CC07");
		check((await ask("POST", "/test", { payload: "TEST", confirmable })).code === "2.01", "CC04 CC08");
	}
	const created = await ask("POST", "/test", { payload: "TEST" });
	const location = option(created, "Location-Path").map(String).join("/");
	check(location.replace(/^\//, "") === "location1/location2/location3", `CC18 ${location}`);
	check(text(await ask("GET", "/separate")).includes("second"), "CC09");
	check((await ask("GET", "/seg1/seg2/seg3")).code === "2.05", "CC13");
	check(text(await ask("GET", "/query", { query: "first=1&second=2&third=3" })).includes("third=3"), "CC14");
	const json = await ask("GET", "/multi-format", { options: { Accept: "application/json" } });
	check(JSON.parse(text(json)).format === "JSON", "CC20");
}

async function validation() {
	const first = await ask("GET", "/validate");
	const etag = option(first, "ETag")[0];
	check(first.code === "2.05" && etag.length > 0, "CC21");
	check((await ask("GET", "/validate", { options: { ETag: etag } })).code === "2.03", "CC21 valid");
	check((await ask("PUT", "/validate", { options: { "If-Match": Buffer.from(etag) }, payload: "TEST" })).code === "2.04", "CC22");
	check((await ask("PUT", "/validate", { options: { "If-Match": Buffer.from(etag) }, payload: "TEST" })).code === "4.12", "CC22 failed");
}

async function blocks() {
	const large = await ask("GET", "/large", { options: { Block2: Buffer.from([0x02]) } });
	check(large.payload.length === 1280, "CB01");
	check(text(await ask("GET", "/large")) === text(large), "CB02");
	check((await ask("PUT", "/large-update", { payload: body, options: { Block1: Buffer.from([0x02]) } })).code === "2.04", "CB03");
	check(text(await ask("GET", "/large-update")) === body, "CB03 read back");
}

async function links() {
	const found = text(await ask("GET", "/.well-known/core", { query: "rt=Type1" }));
	check(found.includes("</link1>") && found.includes("</link3>") && !found.includes("</link2>"), "CL02");
}

function observation() {
	return new Promise((resolve, reject) => {
		// An agent of its own: the package counts the end of an observation twice, and closes the socket under the other requests.
		const agent = new coap.Agent({ type: "udp4" });
		const request = coap.request({ host: "127.0.0.1", port, pathname: "/obs", observe: true, agent });
		request.on("error", reject);
		request.on("response", (stream) => {
			let count = 0;
			stream.on("data", () => {
				if (++count === 3) {
					stream.close();
					console.log("ok CO01");
					resolve();
				}
			});
		});
		request.end();
	});
}

// Until all is done, an end is a failure: node ends quietly when nothing is left to wait for.
process.exitCode = 1;

// The package does not repeat the requests for further blocks: over a link that loses, its block-wise transfers never end.
const inOrder = types.length > 1 ? core().then(validation).then(blocks).then(links) : core().then(validation).then(links);
Promise.all([inOrder, observation()]).then(
	() => process.exit(0),
	(error) => {
		console.error(error.message);
		process.exit(1);
	},
);
