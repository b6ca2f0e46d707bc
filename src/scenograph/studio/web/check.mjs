// Rebuilds the page into a temporary folder and compares it with the committed bundle, file by file.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL(".", import.meta.url));
const committed = join(root, "dist");
const rebuilt = mkdtempSync(join(tmpdir(), "studio-"));
const names = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

try {
  await build({ root, logLevel: "error", build: { outDir: rebuilt, emptyOutDir: true } });
  const differing = [...new Set([...names(committed), ...names(rebuilt)])].filter((name) => {
    try {
      return !readFileSync(join(committed, name)).equals(readFileSync(join(rebuilt, name)));
    } catch {
      return true; // it is missing on one side
    }
  });
  if (differing.length) {
    console.error(`dist/ is not what the sources build: ${differing.join(", ")}; run \`npm run build\` and commit it`);
    process.exitCode = 1;
  } else {
    console.log("dist/ is what the sources build");
  }
} finally {
  rmSync(rebuilt, { recursive: true, force: true });
}
