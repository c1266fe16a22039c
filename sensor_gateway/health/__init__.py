"""What can be wrong with this machine and its settings: the checks of tiltline doctor."""
