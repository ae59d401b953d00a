"""Pure data, decisions and ports: pydantic and the standard library only, no I/O, no clock."""
