"""The gateway against a true BlueZ: sensors simulated behind the kernel's virtual controller, in a virtual machine."""
