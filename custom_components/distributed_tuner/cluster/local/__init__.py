"""Chief and workers as processes of this machine."""
