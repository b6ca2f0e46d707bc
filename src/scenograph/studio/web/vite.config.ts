import { defineConfig } from "vite";

import { mockService } from "./mock/service.mjs";

// The service under development: `SERVICE=http://127.0.0.1:8000 npm run dev` uses a real one, otherwise a small mock answers.
const service = process.env.SERVICE;
// The service refuses requests of other sites, so those of this one must look like its own.
const proxied = service && { target: service, changeOrigin: true, headers: { origin: service } };

export default defineConfig({
  base: "./",
  plugins: service ? [] : [mockService()],
  server: proxied ? { proxy: { "/v1": proxied, "/healthz": proxied } } : {},
  build: {
    target: "es2022",
    // A strict content security policy allows neither inline scripts nor data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.txt" },
    rollupOptions: {
      // Names without hashes keep the diffs of the committed bundle readable; the service sends an ETag.
      output: { entryFileNames: "studio.js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" },
    },
  },
});
