"""The wearer's day and week report: one file of HTML that needs nothing else, and its print as PDF.

`figures.py` takes the numbers from the store (`minutes.py` those it shares with the page), `charts.py` draws them, `page.py` writes
the document, `pdf.py` prints it.
"""
