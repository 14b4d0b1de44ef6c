// Runs test/*.test.ts under node's own runner, compiled on the way.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = await mkdtemp(join(tmpdir(), "console-test-"));
const tests = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));
try {
	await build({
		absWorkingDir: here, entryPoints: tests, outdir: out, outExtension: { ".js": ".mjs" }, bundle: true, format: "esm",
		platform: "node", logLevel: "warning",
		banner: { js: "globalThis.localStorage ??= { getItem: () => null, setItem() {} };" },
	});
	const files = tests.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
	process.exitCode = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1;
} finally {
	await rm(out, { recursive: true, force: true });
}
