"""How long will this bicycle hire take? A wide-and-deep regression on London's trips and weather."""
