"""Motion-BIDS: raw samples, tilt and events of wearers as a data set that other people's tools read.

Format: Brain Imaging Data Structure, motion extension (Jeung et al. 2024, Sci Data 11:716). One session per wearer, sensor's
first sample and UTC day; `layout.py` names files, `sidecars.py` describes columns, `write.py` puts them on disk.
"""
