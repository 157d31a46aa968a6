"""Pure: bytes and registers <-> values, and the encodings of the data path."""
