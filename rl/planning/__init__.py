"""`ucoder plan`: what a config would cost."""
