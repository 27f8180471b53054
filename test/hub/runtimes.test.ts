// Deno and Node download as Bun does: redirects without the token, a cut that is resumed, checksums, links.
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { sha256, TOKEN } from "./hub_server.ts";
import { useHub, WEIGHTS } from "./support.ts";

const ROOT = resolve(import.meta.dir, "../..");
const hub = useHub();

const JS = join(ROOT, ".tmp", "hub-js"); // inside the tree, where packages are found
const PROGRAM = "test/hub/download_program.ts";

const node = Bun.which("node");
const isNewEnough = node !== null && Number(/^v(\d+)/.exec(Bun.spawnSync([node, "--version"]).stdout.toString())?.[1]) >= 20;
if (!isNewEnough) console.log("skipped: no Node of version 20 or later");

const COMMANDS: Record<string, string[]> = {
  Bun: [process.execPath, PROGRAM],
  Deno: [join(ROOT, "node_modules", ".bin", "deno"), "run", "-A", PROGRAM],
  Node: ["node", "--no-warnings", join(JS, PROGRAM.replace(/\.ts$/, ".js"))],
};

/** The JavaScript output, which older versions of Node can run, too. */
function compile(): void {
  rmSync(JS, { recursive: true, force: true });
  mkdirSync(JS, { recursive: true });
  const options = { extends: "../../tsconfig.build.json", compilerOptions: { outDir: ".", rootDir: "../.." }, include: [`../../${PROGRAM}`] };
  writeFileSync(join(JS, "tsconfig.json"), JSON.stringify(options));
  const { success, stdout } = Bun.spawnSync([join(ROOT, "node_modules", ".bin", "tsc"), "-p", JS]);
  expect(success, stdout.toString()).toBe(true);
}

for (const [name, command] of Object.entries(COMMANDS)) {
  test.skipIf(name === "Node" && !isNewEnough)(
    name,
    async () => {
      if (name === "Node") compile();
      hub.server.repos[0].access = "gated";
      hub.server.faults = [
        { match: "/tree/", times: 1, status: 429, headers: { "retry-after": "0" } },
        { match: sha256(WEIGHTS), times: 1, cutAfter: 150_000 },
      ];
      const env = { ...process.env, HF_ENDPOINT: hub.server.url, HF_HUB_CACHE: hub.cacheDir, HF_TOKEN: TOKEN };
      const child = Bun.spawn(command, { cwd: ROOT, env, stdout: "pipe", stderr: "pipe" });
      const [output, errors, status] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
      expect(status, errors).toBe(0);
      const { dir, total, message } = JSON.parse(output);
      expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
      expect(total).toBe(WEIGHTS.length + 41);
      expect(message).toStartWith("There is no model org/other on http");
      expect(hub.server.downloads("model.safetensors").map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
    },
    60_000,
  );
}
