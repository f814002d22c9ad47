"""The supervised child process that owns the model, and the parent's side of it."""
