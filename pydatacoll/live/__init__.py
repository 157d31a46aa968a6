"""Live push: what changes in the store, told to many clients at their pace."""
