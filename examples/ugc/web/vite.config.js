import { defineConfig } from 'vite';

// Four documents share one set of hashed assets. The Go package web decides
// which document a path gets.
export default defineConfig({
  build: {
    outDir: 'static/dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: ['index.html', 'watch.html', 'creator.html', '404.html'],
    },
  },
  server: {
    // `npm run dev` beside a running server: UGC is where it listens.
    proxy: {
      '/api': process.env.UGC ?? 'http://127.0.0.1:8080',
      '/live': process.env.UGC ?? 'http://127.0.0.1:8080',
      '/whip': process.env.UGC ?? 'http://127.0.0.1:8080',
    },
  },
});
