"""What can be exported: small random checkpoints of real architectures, each really exported and compared."""
