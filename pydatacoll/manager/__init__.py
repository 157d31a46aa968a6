"""One supervised task per device; ownership of partitions; polling; commands."""
