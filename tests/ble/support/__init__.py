"""A radio in software for the session tests: air with faults, a virtual clip, and a bleak backend over bumble."""
