"""Measures Darkroom beside the stock pipeline under the real Cog: `script/bench --help`, docs/performance.md."""
