// What the compiler cannot see: no foreign origin in the bundle, no missing text, contrast of every token pair, budgets.
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "build", "console");
const failures = [];
const fail = (text) => failures.push(text);

// ---- the manifest names every file, and only files that are there ----

const manifest = JSON.parse(await readFile(join(out, "manifest.json"), "utf8"));
const files = new Set(manifest.map((entry) => entry.file));
for (const name of await readdir(join(out, "assets"))) {
	if (!name.endsWith(".gz") && !files.has(`assets/${name}`)) fail(`manifest.json does not list assets/${name}`);
}
for (const { path, file, type } of manifest) {
	if (!type || !path.startsWith("/")) fail(`manifest.json: bad entry for ${file}`);
}

// ---- no foreign origin ----

// Names of XML namespaces are never fetched; the rest are words in MapLibre's messages, shown to a developer, never requested.
const HARMLESS = [
	/^https?:\/\/www\.w3\.org\//,
	/^https?:\/\/(www\.)?maplibre\.org\//,
	/^https:\/\/maplibre\.invalid\//, // a base for parsing relative addresses; .invalid never resolves
	/^https:\/\/github\.com\/(maplibre|mapbox)\//,
	/^https:\/\/wiki\.openstreetmap\.org\//,
];
for (const { file } of manifest) {
	if (/\.(woff2|txt)$/.test(file)) continue;
	const text = await readFile(join(out, file), "utf8");
	for (const [address] of text.matchAll(/(?:https?|wss?):\/\/[^\s"'`)<>\\]+/g)) {
		if (!HARMLESS.some((pattern) => pattern.test(address))) fail(`${file}: foreign address ${address}`);
	}
	// In a script "//" begins comments and expressions; only a style sheet or a page fetches a scheme-less address.
	if (!/\.m?js$/.test(file) && /(?:url\(["']?|(?:src|href)=["'])\/\/\w/.test(text)) fail(`${file}: an address without scheme`);
	if (file.endsWith(".html") && (/<script(?![^>]*\bsrc=)/.test(text) || /\sstyle=|\son\w+=/.test(text))) fail(`${file}: inline script or style`);
}

// ---- texts: complete in both languages, and used ----

globalThis.localStorage = { getItem: () => null, setItem: () => {} };
async function bundle(entry) {
	const made = await build({ absWorkingDir: here, entryPoints: [entry], bundle: true, format: "esm", write: false, logLevel: "warning" });
	return import(`data:text/javascript;base64,${Buffer.from(made.outputFiles[0].contents).toString("base64")}`);
}
const { table } = await bundle("src/text.ts");
const HAN = /[\u3400-\u9fff]/;
const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort().join();
for (const [key, { zh, en }] of Object.entries(table)) {
	if (!zh.trim() || !en.trim()) fail(`text ${key}: empty`);
	if (HAN.test(en) && !key.startsWith("lang.")) fail(`text ${key}: Han characters in the English text`);
	if (holes(zh) !== holes(en)) fail(`text ${key}: the languages fill in different values`);
}

async function sources(dir) {
	const found = [];
	for (const entry of await readdir(dir, { withFileTypes: true })) {
		if (entry.isDirectory()) found.push(...(await sources(join(dir, entry.name))));
		else if (/\.tsx?$/.test(entry.name)) found.push(join(dir, entry.name));
	}
	return found;
}
// Families of keys are looked up by a name from the wire or a variable: "state." + state.
const FAMILIES = ["state", "task", "role", "domain", "origin", "clock", "act", "level", "source", "reason", "finding", "metric", "incident", "unit", "urgency", "map.layer", "outbox", "phone.nowhere", "view", "keys"];
let code = "";
for (const path of await sources(join(here, "src"))) {
	if (/(text|refusals)\.ts$/.test(path)) continue;
	const text = await readFile(path, "utf8");
	code += text;
	text.split("\n").forEach((line, i) => {
		const bare = line.replace(/\/\/.*$|\/?\*.*$/, "");
		if (HAN.test(bare) && !/weekday|周日|、|，/i.test(bare)) fail(`${path}:${i + 1}: a text outside src/text.ts`);
	});
}
for (const key of Object.keys(table)) {
	if (!code.includes(`"${key}"`) && !FAMILIES.some((name) => key.startsWith(`${name}.`))) fail(`text ${key}: not used`);
}

// ---- what the engine refuses is said in Chinese too, and nothing else is ----

const wrong = await bundle("src/refusals.ts");
const said = new Set();
for (const name of await readdir(join(here, "../dispatch"))) {
	if (!/^life.*\.c$/.test(name)) continue;
	const text = await readFile(join(here, "../dispatch", name), "utf8");
	const calls = text.match(/life_wrong\([^;]*;|static const char \*not_mergeable[^]*?\n}|"a limit of the case is reached"[^]*?;/g) ?? [];
	for (const call of calls) {
		for (const [, literal, comma] of call.matchAll(/"((?:[^"\\]|\\.)*)"(,?)/g)) {
			// A name with a comma behind it is the field; what stands last is said of it.
			if (!comma && (literal === "unknown" || !/^[a-z_]+$/.test(literal))) said.add(literal);
		}
	}
}
for (const text of said) if (!wrong.WRONG[text]) fail(`src/refusals.ts: no Chinese for "${text}"`);
for (const [text, zh] of Object.entries(wrong.WRONG)) {
	if (!said.has(text)) fail(`src/refusals.ts: the engine does not say "${text}"`);
	if (!HAN.test(zh)) fail(`src/refusals.ts: "${text}" has no Chinese`);
}

// ---- contrast of the tokens, as WCAG 2.2 computes it ----

const css = await readFile(join(here, "src/style/tokens.css"), "utf8");
const themeOf = (selector) => {
	const start = css.indexOf(`${selector} {`);
	const block = css.slice(start, css.indexOf("}", start));
	return Object.fromEntries([...block.matchAll(/--([\w-]+):\s*(#[0-9A-Fa-f]{6})/g)].map((match) => [match[1], match[2]]));
};
const luminance = (hex) => {
	const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
		.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (a, b) => {
	const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
	return (x + 0.05) / (y + 0.05);
};
const TEXT = 4.5;
const MARK = 3;
const GROUNDS = ["bg1", "bg2", "bg3", "sel", "pane", "bar"];
const PAIRS = [
	...["fg1", "fg2", "fg3", "acc", "red", "amb", "yel", "grn"].map((name) => [name, GROUNDS, TEXT]),
	["fg3", ["grp"], TEXT], ["fg2", ["grp"], TEXT],
	...["redf", "ambf", "yelf", "grnf"].map((name) => [name, ["bg1", "bg2", "sel"], MARK]),
	["line2", ["bg1", "bg2", "sel"], MARK], ["gryf", ["bg1", "bg2", "sel"], MARK],
	["on-acc", ["acc"], TEXT], ["on-red", ["redf"], TEXT], ["bg1", ["fg1", "fg2"], TEXT], ["bg2", ["fg2"], TEXT],
	["m-label", ["m-land", "m-out"], TEXT],
];
const light = themeOf(":root");
const themes = { light, dark: { ...light, ...themeOf(":root[data-theme=dark]") } };
let lowest = Infinity;
for (const [theme, tokens] of Object.entries(themes)) {
	for (const [ink, grounds, least] of PAIRS) {
		for (const ground of grounds) {
			if (!tokens[ink] || !tokens[ground]) {
				fail(`${theme}: no token ${ink} or ${ground}`);
				continue;
			}
			const got = ratio(tokens[ink], tokens[ground]);
			lowest = Math.min(lowest, got / least);
			if (got < least) fail(`${theme}: ${ink} on ${ground} is ${got.toFixed(2)}, needs ${least}`);
		}
	}
}

// ---- budgets: KB of gzip ----

const gzipped = async (names) => {
	let sum = 0;
	for (const name of names) {
		const bytes = await readFile(join(out, name));
		sum += name.endsWith(".woff2") ? bytes.length : gzipSync(bytes, { level: 9 }).length;
	}
	return sum / 1024;
};
const page = await readFile(join(out, "index.html"), "utf8");
const entry = /src="\/(assets\/[^"]+)"/.exec(page)[1];
const shared = [...(await readFile(join(out, entry), "utf8")).matchAll(/from\s*"(?:\.|\/assets)\/(chunk-[^"]+)"/g)].map((match) => `assets/${match[1]}`);
const first = [entry, ...new Set(shared), ...[...files].filter((file) => /\.(css|woff2)$/.test(file))];
const later = [...files].filter((file) => /\.m?js$/.test(file) && !first.includes(file));
const [firstKb, laterKb] = [await gzipped(first), await gzipped(later)];
if (firstKb > 153) fail(`first screen: ${firstKb.toFixed(0)} KB, the budget is 153`);
if (firstKb + laterKb > 600) fail(`all: ${(firstKb + laterKb).toFixed(0)} KB, the budget is 600`);

for (const text of failures) console.error(`console: ${text}`);
if (failures.length > 0) process.exit(1);
console.log(`console: ${manifest.length} files, ${Object.keys(table).length} texts, contrast at least ${lowest.toFixed(2)} x what is asked, `
	+ `${firstKb.toFixed(0)} KB to the first screen, ${laterKb.toFixed(0)} KB more for the map`);
