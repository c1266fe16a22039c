"""Which way the sensor sits on the pelvis: dated, versioned alignment records and how they are found."""
