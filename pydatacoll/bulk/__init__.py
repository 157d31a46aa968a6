"""Pure: the whole model as a document (JSON, YAML, CSV) and back. Everything runs in steps."""
