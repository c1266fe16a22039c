"""What is held about a wearer: erased, kept no longer than agreed, handed over, and only with consent."""
