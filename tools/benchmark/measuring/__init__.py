"""The parts of tools/bench: rows.toml and grid.toml say what is measured, these say how."""
