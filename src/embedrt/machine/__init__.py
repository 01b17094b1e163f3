"""What this machine has, and what of it this process may use: threads, memory, instructions, pages."""
