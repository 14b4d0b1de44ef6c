// Builds the console into ../build/console: index.html, content-hashed assets, manifest.json for the server.
// Beside each text asset lies its gzip (FILE.gz), sent as it is to whoever accepts it.
// Equal sources give equal bytes: names come from content, nothing is dated.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "build", "console");
const fresh = `${out}.${process.pid}`; // written aside, then moved: a server never sees half a console

const TYPES = {
	html: "text/html; charset=utf-8",
	css: "text/css; charset=utf-8",
	js: "text/javascript; charset=utf-8",
	mjs: "text/javascript; charset=utf-8",
	svg: "image/svg+xml",
	woff2: "font/woff2",
	txt: "text/plain; charset=utf-8",
};

// `import url from "asset:PACKAGE/FILE"` ships a package's file as it is and yields its address.
const assetPlugin = {
	name: "asset",
	setup(b) {
		b.onResolve({ filter: /^asset:/ }, (args) => ({
			path: join(here, "node_modules", args.path.slice("asset:".length)),
			namespace: "asset",
		}));
		b.onLoad({ filter: /.*/, namespace: "asset" }, async (args) => {
			// The source map is not shipped, so the reference to it would only be a failed request.
			const text = await readFile(args.path, "utf8");
			return { contents: text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"), loader: "file" };
		});
	},
};

// Style sheets are written in px and shipped in rem, so that a larger text size enlarges everything with it.
// Hairlines, radii and media queries stay in px.
const remPlugin = {
	name: "rem",
	setup(b) {
		b.onLoad({ filter: /\.css$/ }, async (args) => {
			const text = await readFile(args.path, "utf8");
			const contents = text.split("\n").map((line) => (line.startsWith("@media") ? line
				: line.replace(/(?<![\w.-])(-?\d+(?:\.\d+)?)px/g, (px, n) => (Math.abs(n) < 4 ? px : `${n / 16}rem`)))).join("\n");
			return { contents, loader: "css" };
		});
	},
};

async function licences() {
	const parts = [`Inter (fonts/inter.woff2, a subset)\n\n${await readFile(join(here, "fonts/OFL.txt"), "utf8")}`];
	const lock = JSON.parse(await readFile(join(here, "package-lock.json"), "utf8"));
	for (const [path, info] of Object.entries(lock.packages)) {
		if (path === "" || info.dev) continue;
		const dir = join(here, path);
		const file = (await readdir(dir)).find((name) => /^licen[cs]e/i.test(name));
		const text = file ? await readFile(join(dir, file), "utf8") : `Licence: ${info.license}\n`;
		parts.push(`${path.replace(/^node_modules\//, "")} ${info.version}\n\n${text}`);
	}
	return parts.join(`\n${"-".repeat(80)}\n\n`);
}

const hashed = (name, ext, bytes) =>
	`assets/${name}-${createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase()}.${ext}`;

await rm(fresh, { recursive: true, force: true });
await mkdir(join(fresh, "assets"), { recursive: true });

const result = await build({
	absWorkingDir: here,
	entryPoints: { console: "src/main.tsx", style: "src/style/index.css" },
	outdir: join(out, "assets"), // the final place, as it goes into the hashes; nothing is written there yet
	write: false,
	bundle: true,
	format: "esm",
	splitting: true,
	minify: true,
	target: ["es2022", "chrome110", "firefox115", "safari16.4"],
	jsx: "automatic",
	jsxImportSource: "preact",
	loader: { ".woff2": "file" },
	plugins: [assetPlugin, remPlugin],
	publicPath: "/assets",
	entryNames: "[name]-[hash]",
	chunkNames: "[name]-[hash]",
	assetNames: "[name]-[hash]",
	legalComments: "none", // every licence travels in licences.txt
	metafile: true,
	logLevel: "warning",
});

for (const file of result.outputFiles) await writeFile(join(fresh, "assets", basename(file.path)), file.contents);

const entry = (source) => {
	const found = Object.entries(result.metafile.outputs).find(([, o]) => o.entryPoint === source);
	return basename(found[0]);
};

const notices = await licences();
await writeFile(join(fresh, hashed("licences", "txt", notices)), notices);
const icon = await readFile(join(here, "src/icon.svg"));
const iconName = hashed("icon", "svg", icon);
await writeFile(join(fresh, iconName), icon);

const font = (await readdir(join(fresh, "assets"))).find((name) => name.endsWith(".woff2"));
const html = (await readFile(join(here, "src/index.html"), "utf8"))
	.replace("{style}", `/assets/${entry("src/style/index.css")}`)
	.replace("{script}", `/assets/${entry("src/main.tsx")}`)
	.replace("{font}", `/assets/${font}`)
	.replace("{icon}", `/${iconName}`);
await writeFile(join(fresh, "index.html"), html);

for (const file of await readdir(join(fresh, "assets"))) {
	if (!/\.(js|mjs|css|svg|txt)$/.test(file)) continue;
	await writeFile(join(fresh, "assets", `${file}.gz`), gzipSync(await readFile(join(fresh, "assets", file)), { level: 9 }));
}

const names = (await readdir(join(fresh, "assets"))).filter((name) => !name.endsWith(".gz")).sort();
const files = ["index.html", ...names.map((name) => `assets/${name}`)];
const manifest = files.map((file) => ({
	path: file === "index.html" ? "/" : `/${file}`,
	file,
	type: TYPES[file.slice(file.lastIndexOf(".") + 1)],
}));
await writeFile(join(fresh, "manifest.json"), `${JSON.stringify(manifest, null, "\t")}\n`);

await rm(out, { recursive: true, force: true });
await rename(fresh, out);
