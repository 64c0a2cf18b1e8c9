"""`ucoder audit`: a person's marks on the labels of a run, and how often labels are right by them."""
