"""Orientation from acceleration and angular rate: causal, settled within 10 s, or from the whole recording (`retro`).

`calibration` learns what the accelerometer itself gets wrong, `opening` helps where a stream begins in motion; both serve all three.
"""
