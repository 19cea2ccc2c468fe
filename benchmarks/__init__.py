"""Speed against PyTorch: ``python -m benchmarks.cpu`` (see README.md)."""
