"""What the operating system has a say in: files, children, signals, memory, disks, GPUs."""
