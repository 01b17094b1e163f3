"""Who is measured: the catalogue, each engine as a process in the environment that it needs, and who takes part in a run."""
