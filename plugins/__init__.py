"""Plugins that ship with PyDataColl."""
