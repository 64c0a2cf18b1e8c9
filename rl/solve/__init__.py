"""`ucoder solve`: from a statement to a program that execution consensus chose."""
