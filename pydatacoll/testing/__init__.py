"""Shipped fakes, simulated devices and the conformance suite for drivers."""
