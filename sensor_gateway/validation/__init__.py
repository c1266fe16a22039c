"""Validation: recordings with a known truth through the public path, scored, with peers beside them, as one report.

``datasets`` finds recordings and their truth, ``chain`` runs `process_file` on them, ``peers`` runs others' methods on the same
samples, ``scoring`` turns both into tallies by way of ``measures`` and ``agreement``, ``summary`` adds them up with their doubt and
holds them against the bars, ``figures`` and ``report`` show them. Nothing here is fitted to anything.
"""
