"""The runtime on Arm, where no such machine is at hand: a Python for aarch64 in QEMU's emulation of its processors."""
