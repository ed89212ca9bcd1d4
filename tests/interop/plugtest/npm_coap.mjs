// The plugtest cases as the npm package `coap` walks through them.
//
//	node npm_coap.mjs PORT [lossy]     lossy: what is not confirmable is left out, it would be lost for good
//	node npm_coap.mjs PORT proxied OWN-PORT TOKEN NAME     through the gateway at PORT to device NAME, with a session
//
// SPDX-License-Identifier: BSD-2-Clause
import { coap, session } from "./npm_session.mjs";

const port = Number(process.argv[2]);
const [mode, own, token, name] = process.argv.slice(3);
const types = mode === "lossy" ? [true] : [true, false];
const server = { host: "127.0.0.1", port };
if (mode === "proxied") {
	server.agent = new coap.Agent({ type: "udp4", port: Number(own) });
}
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
		const target = name ? { proxyUri: `coap://${name}${pathname}${query ? `?${query}` : ""}` } : { pathname, query };
		const request = coap.request({ ...server, ...target, method, confirmable });
		for (const [option, value] of Object.entries(options)) {
			request.setOption(option, value);
		}
		request.on("response", resolve);
		request.on("error", reject);
		request.end(payload);
	});
}

const option = (response, wanted) => response.options.filter((o) => o.name === wanted).map((o) => o.value);
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
	check(text(await ask("GET", "/separate")).includes("second"), "CC09 CC11");
	check((await ask("GET", "/seg1/seg2/seg3")).code === "2.05", "CC13");
	check(text(await ask("GET", "/query", { query: "first=1&second=2&third=3" })).includes("third=3"), "CC14");
	const json = await ask("GET", "/multi-format", { options: { Accept: "application/json" } });
	check(JSON.parse(text(json)).format === "JSON", "CC20 JSON");
}

async function validation() {
	const first = await ask("GET", "/validate");
	const etag = Buffer.from(option(first, "ETag")[0]);
	check(first.code === "2.05" && etag.length > 0, "CC21");
	check((await ask("GET", "/validate", { options: { ETag: etag } })).code === "2.03", "CC21 valid");
	check((await ask("PUT", "/validate", { options: { "If-Match": etag }, payload: "TEST" })).code === "2.04", "CC22");
	check((await ask("PUT", "/validate", { options: { "If-Match": etag }, payload: "TEST" })).code === "4.12", "CC22 failed");
}

// Over a link that loses the package gives up now and then, so that the walk there is a short one.
async function more() {
	const query = await ask("POST", "/location-query", { payload: "TEST" });
	check(query.code === "2.01" && option(query, "Location-Query").map(String).join("&").replace(/^\?/, "") === "first=1&second=2", "CC19");
	check(text(await ask("GET", "/separate", { confirmable: false })).includes("second"), "CC17");
	check(text(await ask("GET", "/multi-format", { options: { Accept: "text/plain" } })).startsWith("format"), "CC20 text");
	check(text(await ask("GET", "/multi-format", { options: { Accept: "application/xml" } })).startsWith("<?xml"), "CC20 XML");
	check((await ask("GET", "/multi-format", { options: { Accept: "application/cbor" } })).payload[0] === 0xa1, "CC20 CBOR");
	check((await ask("GET", "/multi-format", { options: { Accept: Buffer.from([112]) } })).code === "4.06", "CC20 none");
	const etag = Buffer.from(option(await ask("GET", "/validate"), "ETag")[0]);
	check((await ask("PUT", "/validate", { payload: "TEST" })).code === "2.04", "CC21 changed");
	const second = await ask("GET", "/validate", { options: { ETag: etag } });
	check(second.code === "2.05" && !Buffer.from(option(second, "ETag")[0]).equals(etag), "CC21 another");
	const none = { options: { "If-None-Match": Buffer.alloc(0) }, payload: "TEST" };
	check((await ask("PUT", "/create1", none)).code === "2.01", "CC23");
	check((await ask("PUT", "/create1", none)).code === "4.12", "CC23 again");
}

async function blocks() {
	const large = await ask("GET", "/large", { options: { Block2: Buffer.from([0x02]) } });
	check(large.payload.length === 1280, "CB01");
	check(text(await ask("GET", "/large")) === text(large), "CB02");
	check(text(await ask("GET", "/large", { options: { Block2: Buffer.from([0x00]) } })) === text(large), "CB06");
	const upload = { payload: body, options: { Block1: Buffer.from([0x02]) } };
	check((await ask("PUT", "/large-update", upload)).code === "2.04", "CB03");
	check(text(await ask("GET", "/large-update")) === body, "CB03 read back");
	const created = await ask("POST", "/large-create", upload);
	const where = option(created, "Location-Path").map(String).join("/").replace(/^\/?/, "/");
	check(created.code === "2.01" && where.length > 1, "CB04");
	check(text(await ask("GET", where)) === body, "CB04 read back");
	const posted = await ask("POST", "/large-post", upload);
	check(posted.code === "2.04" && text(posted) === body.toUpperCase(), "CB05");
}

async function links() {
	const found = text(await ask("GET", "/.well-known/core", { query: "rt=Type1" }));
	check(found.includes("</link1>") && found.includes("</link3>") && !found.includes("</link2>"), "CL02");
}

async function moreLinks() {
	const found = async (query) => text(await ask("GET", "/.well-known/core", { query }));
	const targets = async (query) => [...(await found(query)).matchAll(/<([^>]*)>/g)].map((match) => match[1]).sort().join(" ");
	check((await found()).includes("</link1>"), "CL01");
	check((await targets("rt=*")).includes("/link2") && !(await targets("rt=*")).includes("/test"), "CL03");
	check((await targets("rt=Type2")) === "/link1 /link2", "CL04");
	check((await targets("if=If*")) === "/link1 /link2", "CL05");
	check((await targets("sz=*")) === "/large /large-create /large-post /large-update", "CL06");
	check((await targets("href=/link1")) === "/link1", "CL07");
	check((await targets("href=/link*")) === "/link1 /link2 /link3", "CL08");
	check((await targets("ct=40")) === "/path" && text(await ask("GET", "/path")).includes("</path/sub1>"), "CL09");
	check((await ask("GET", "/path/sub1")).code === "2.05", "CL09 below");
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
const short = () => core().then(validation).then(links);
const all = () => (types.length > 1 ? short().then(more).then(moreLinks).then(blocks) : short());
// Through the gateway what is observed is in npm_observe.mjs.
(mode === "proxied" ? session(server, token).then(all) : Promise.all([all(), observation()])).then(
	() => process.exit(0),
	(error) => {
		console.error(error.message);
		process.exit(1);
	},
);
