import { defineConfig } from "vite";

// Relative addresses, so that the pages also work behind a proxy under a path of its own.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../pydatacoll/web/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: scripts or fonts
    modulePreload: { polyfill: false }, // it would be an inline script
    reportCompressedSize: false,
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/openapi.json", "/docs", "/healthz", "/readyz", "/metrics"].map((path) => [
        path,
        { target: "http://127.0.0.1:8080", ws: true },
      ]),
    ),
  },
});
