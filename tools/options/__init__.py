"""What is made from the models of options: the table that the commands read, and docs/reference.md."""
