"""CannotCompile: why a step stays with the engine "python"."""

__all__ = ["CannotCompile"]


class CannotCompile(Exception):
    """A step does what the compiler cannot turn into a graph; the message names the function or the user's line."""
