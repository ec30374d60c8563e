"""The beginnings of an adapter: a folder that explains itself, made from the city's directory."""

from adapters.skeleton.write import SOURCES, TARGETS, write_skeleton

__all__ = ["SOURCES", "TARGETS", "write_skeleton"]
