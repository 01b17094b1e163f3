"""What a result is turned into: tables for the terminal, one HTML file, and what changed since another result."""
