"""What depends on the operating system: files, children, signals, memory, disks, GPUs."""
