"""The shell around `processing`: radio, disk, network, page and command line."""
