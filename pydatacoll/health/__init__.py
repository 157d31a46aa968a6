"""Whether the system can do its work, and what an operator should look after."""
