"""One check per file. Each needs only the health engine and the driver that it imports."""
