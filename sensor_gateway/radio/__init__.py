"""The radio, for as long as a gateway runs: adapters, one scan, one connection attempt at a time, and each sensor's life.

`host` asks the operating system about adapters and repairs them, `scanner` looks for sensors, `link` is one open
connection, `adapter` joins them to one adapter with its link budget, `escalation` says what to try next, `states` names the
states, `session` is one sensor's life, `pool` the gateway's adapters. Drivers know nothing of all this; it knows nothing of
payloads but that the driver's `feed` made samples of them. `recorder` is for a command that talks with a sensor's memory.
"""
