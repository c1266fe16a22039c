"""Tiltline's arithmetic: samples in; angles, context, epochs, flags and prompts out.

Pure: no files, no network, no event loop, no wall clock. Every stage is frozen parameters, a serialisable state and an
``update``; running a day at once or in any pieces gives the same bits (`docs/architecture.md`).
"""
