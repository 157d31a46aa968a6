"""Hours under load with every fault at random: ``make soak``."""
